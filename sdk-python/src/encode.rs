//! Python's objects to JSON text.
//!
//! What Python has and JSON has not is written as the API expects it: instants after RFC 3339, durations in whole seconds (`90s`),
//! a `Decimal` as a number with all its digits, a `UUID` as text, an `Enum` as its value. What could only be guessed is an error
//! that says where it stands.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Levels of a value: the server takes no deeper one, and one that holds itself has no end.
const DEPTH_MAX: usize = 120;
/// Room for a usual body, so that it seldom grows.
const BODY_BYTES: usize = 512;

/// The text of a value.
///
/// # Errors
/// `TypeError` for what has no JSON, `ValueError` for a number that is none, for text that is no Unicode, and for what is too deep.
pub(crate) fn encode(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut text = Vec::with_capacity(BODY_BYTES);
    match write(&mut text, value, 0) {
        Ok(()) => Ok(text),
        Err(fault) => Err(fault.raised()),
    }
}

/// What is wrong, and where: the innermost part first.
struct Fault {
    what: Wrong,
    path: Vec<String>,
}

enum Wrong {
    Type(String),
    Value(String),
    /// Python's own, e.g. of a `Mapping` that fails.
    Raised(PyErr),
}

impl Fault {
    fn of_type(what: impl Into<String>) -> Self {
        Self { what: Wrong::Type(what.into()), path: Vec::new() }
    }

    fn of_value(what: impl Into<String>) -> Self {
        Self { what: Wrong::Value(what.into()), path: Vec::new() }
    }

    fn within(mut self, part: String) -> Self {
        self.path.push(part);
        self
    }

    fn raised(self) -> PyErr {
        let path: String = self.path.into_iter().rev().collect();
        let told = |what: String| format!("cannot write ${path} as JSON: {what}");
        match self.what {
            Wrong::Type(what) => PyTypeError::new_err(told(what)),
            Wrong::Value(what) => PyValueError::new_err(told(what)),
            Wrong::Raised(error) => error,
        }
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self { what: Wrong::Raised(error), path: Vec::new() }
    }
}

fn write(text: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Fault> {
    if let Ok(string) = value.cast_exact::<PyString>() {
        write_text(text, string)
    } else if let Ok(dict) = value.cast_exact::<PyDict>() {
        write_dict(text, dict, depth)
    } else if let Ok(number) = value.cast_exact::<PyInt>() {
        write_int(text, number)
    } else if value.is_none() {
        text.extend_from_slice(b"null");
        Ok(())
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        text.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
        Ok(())
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        write_float(text, number.value())
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        write_items(text, list.iter(), depth)
    } else {
        write_other(text, value, depth)
    }
}

fn write_text(text: &mut Vec<u8>, string: &Bound<'_, PyString>) -> Result<(), Fault> {
    let string = string.to_str().map_err(|_| Fault::of_value("half of a surrogate pair is no text"))?;
    json(text, string)
}

fn json(text: &mut Vec<u8>, value: impl serde::Serialize) -> Result<(), Fault> {
    serde_json::to_writer(text, &value).map_err(|error| Fault::of_value(error.to_string()))
}

fn write_int(text: &mut Vec<u8>, number: &Bound<'_, PyInt>) -> Result<(), Fault> {
    if let Ok(number) = number.extract::<i64>() {
        return json(text, number);
    }
    // Of any length; the receiver says what it can take.
    let digits = number.call_method0("__repr__")?;
    text.extend_from_slice(digits.cast::<PyString>().map_err(PyErr::from)?.to_str()?.as_bytes());
    Ok(())
}

fn write_float(text: &mut Vec<u8>, number: f64) -> Result<(), Fault> {
    if !number.is_finite() {
        return Err(Fault::of_value(format!("{number} is no number of JSON")));
    }
    json(text, number)
}

fn deeper(depth: usize) -> Result<usize, Fault> {
    if depth >= DEPTH_MAX {
        return Err(Fault::of_value("it is too deep, or holds itself"));
    }
    Ok(depth + 1)
}

fn write_dict(text: &mut Vec<u8>, dict: &Bound<'_, PyDict>, depth: usize) -> Result<(), Fault> {
    let depth = deeper(depth)?;
    text.push(b'{');
    let start = text.len();
    for (key, value) in dict.iter() {
        write_entry(text, start, &key, &value, depth)?;
    }
    text.push(b'}');
    Ok(())
}

fn write_entry(
    text: &mut Vec<u8>,
    start: usize,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    depth: usize,
) -> Result<(), Fault> {
    if text.len() > start {
        text.push(b',');
    }
    write_key(text, key)?;
    text.push(b':');
    write(text, value, depth).map_err(|fault| fault.within(format!(".{key}")))
}

fn write_key(text: &mut Vec<u8>, key: &Bound<'_, PyAny>) -> Result<(), Fault> {
    if let Ok(string) = key.cast_exact::<PyString>() {
        return write_text(text, string);
    }
    let types = Types::of(key.py())?;
    let key = if key.is_instance(types.of_enum.bind(key.py()))? { key.getattr("value")? } else { key.clone() };
    if let Ok(string) = key.cast::<PyString>() {
        return write_text(text, string);
    }
    if key.is_instance(types.uuid.bind(key.py()))? || (key.is_instance_of::<PyInt>() && !key.is_instance_of::<PyBool>())
    {
        return write_text(text, &key.str()?);
    }
    Err(Fault::of_type(format!("the key {} is no text", described(&key))))
}

fn write_items<'py>(
    text: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> Result<(), Fault> {
    let depth = deeper(depth)?;
    text.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        write(text, &item, depth).map_err(|fault| fault.within(format!("[{at}]")))?;
    }
    text.push(b']');
    Ok(())
}

/// What is not exactly one of JSON's types.
fn write_other(text: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Fault> {
    let py = value.py();
    let types = Types::of(py)?;
    if value.is_instance(types.of_enum.bind(py))? {
        return write(text, &value.getattr("value")?, deeper(depth)?);
    }
    if let Ok(string) = value.cast::<PyString>() {
        return write_text(text, string);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return write_dict(text, dict, depth);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return write_items(text, tuple.iter(), depth);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return write_items(text, list.iter(), depth);
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return write_int(text, &number.call_method0("__int__")?.cast_into::<PyInt>().map_err(PyErr::from)?);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return write_float(text, number.value());
    }
    if value.is_instance(types.date.bind(py))? || value.is_instance(types.time.bind(py))? {
        return write_text(text, value.call_method0("isoformat")?.cast::<PyString>().map_err(PyErr::from)?);
    }
    if value.is_instance(types.uuid.bind(py))? {
        return write_text(text, &value.str()?);
    }
    if value.is_instance(types.timedelta.bind(py))? {
        return write_duration(text, value);
    }
    if value.is_instance(types.decimal.bind(py))? {
        return write_decimal(text, value);
    }
    if value.is_instance(types.mapping.bind(py))? {
        return write_mapping(text, value, depth);
    }
    Err(Fault::of_type(format!("{} has no JSON", described(value))))
}

fn write_duration(text: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
    let seconds: f64 = value.call_method0("total_seconds")?.extract()?;
    if seconds < 0.0 || seconds.fract() != 0.0 {
        return Err(Fault::of_value(format!("a duration is a number of whole seconds, not {seconds}")));
    }
    json(text, format!("{seconds:.0}s"))
}

fn write_decimal(text: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
    if !value.call_method0("is_finite")?.is_truthy()? {
        return Err(Fault::of_value(format!("{value} is no number of JSON")));
    }
    text.extend_from_slice(value.str()?.to_str()?.as_bytes());
    Ok(())
}

fn write_mapping(text: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Fault> {
    let depth = deeper(depth)?;
    text.push(b'{');
    let start = text.len();
    for key in value.try_iter()? {
        let key = key?;
        write_entry(text, start, &key, &value.get_item(&key)?, depth)?;
    }
    text.push(b'}');
    Ok(())
}

fn described(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().fully_qualified_name();
    name.map_or_else(|_| "an object".to_owned(), |name| format!("a {name}"))
}

/// Types of the standard library.
struct Types {
    of_enum: Py<PyAny>,
    date: Py<PyAny>,
    time: Py<PyAny>,
    timedelta: Py<PyAny>,
    uuid: Py<PyAny>,
    decimal: Py<PyAny>,
    mapping: Py<PyAny>,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

impl Types {
    fn of(py: Python<'_>) -> PyResult<&Self> {
        TYPES.get_or_try_init(py, || {
            let named = |module: &str, name: &str| Ok::<_, PyErr>(py.import(module)?.getattr(name)?.unbind());
            Ok(Self {
                of_enum: named("enum", "Enum")?,
                date: named("datetime", "date")?,
                time: named("datetime", "time")?,
                timedelta: named("datetime", "timedelta")?,
                uuid: named("uuid", "UUID")?,
                decimal: named("decimal", "Decimal")?,
                mapping: named("collections.abc", "Mapping")?,
            })
        })
    }
}
