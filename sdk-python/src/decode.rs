//! JSON text to Python's objects.
//!
//! Rows of a list mostly have the same keys in the same order, and many of the same values. So a row is a copy of the first one that
//! had its keys, in which what differs is replaced: the keys need no hashing and no new text, a dictionary does not grow step by
//! step, and text that stands there already is not made again. Nothing is kept beyond one answer; some of it is secret.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Sequences of keys that are known of one list.
const SHAPES_MAX: usize = 8;

/// The object that `text` says; `None` for an empty one. Rows of a page, which stand under `items`, become `class`.
///
/// # Errors
/// Why it is no JSON.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    text: &[u8],
    class: Option<Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>, String> {
    if text.is_empty() {
        return Ok(py.None().into_bound(py));
    }
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut reader = Reader { py, keys: HashMap::new(), class };
    let mut parser = serde_json::Deserializer::from_str(text);
    let told = Seed { reader: &mut reader, place: Place::Top }.deserialize(&mut parser);
    let told = told.and_then(|told| parser.end().map(|()| told.object));
    told.map_err(|error| error.to_string())
}

/// A value that is decoded already.
pub(crate) fn value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_vec(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    decode(py, &text, None).map_err(PyValueError::new_err)
}

struct Reader<'py, 'de> {
    py: Python<'py>,
    /// Keys of dictionaries that are no rows.
    keys: HashMap<&'de str, Bound<'py, PyString>>,
    class: Option<Bound<'py, PyAny>>,
}

impl<'py, 'de> Reader<'py, 'de> {
    fn key(&mut self, key: Cow<'de, str>) -> Bound<'py, PyString> {
        let py = self.py;
        match key {
            Cow::Borrowed(text) => self.keys.entry(text).or_insert_with(|| PyString::new(py, text)).clone(),
            Cow::Owned(text) => PyString::new(py, &text),
        }
    }
}

/// Where a value stands.
enum Place<'a, 'py, 'de> {
    Top,
    /// The rows of a page.
    Rows,
    /// In a list, with what is known of its rows.
    Row(&'a mut Shapes<'py, 'de>),
    /// In a column of a row, with what stood there before.
    Cell(&'a [Option<Told<'py, 'de>>]),
    Else,
}

/// A value, and its text if it is one without escapes.
#[derive(Clone)]
struct Told<'py, 'de> {
    object: Bound<'py, PyAny>,
    text: Option<&'de str>,
}

struct Seed<'a, 'py, 'de> {
    reader: &'a mut Reader<'py, 'de>,
    place: Place<'a, 'py, 'de>,
}

impl<'py, 'de> DeserializeSeed<'de> for Seed<'_, 'py, 'de> {
    type Value = Told<'py, 'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'py, 'de> Seed<'_, 'py, 'de> {
    fn plain<T: IntoPyObject<'py>, E>(self, value: T) -> Result<Told<'py, 'de>, E>
    where
        E: serde::de::Error,
    {
        let object = value.into_bound_py_any(self.reader.py).map_err(E::custom)?;
        Ok(Told { object, text: None })
    }
}

impl<'py, 'de> Visitor<'de> for Seed<'_, 'py, 'de> {
    type Value = Told<'py, 'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Told { object: PyBool::new(self.reader.py, value).to_owned().into_any(), text: None })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.plain(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.plain(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Told { object: PyFloat::new(self.reader.py, value).into_any(), text: None })
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(Told { object: self.reader.py.None().into_bound(self.reader.py), text: None })
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        if let Place::Cell(before) = &self.place
            && let Some(same) = before.iter().flatten().find(|told| told.text == Some(text))
        {
            return Ok(same.clone());
        }
        Ok(Told { object: PyString::new(self.reader.py, text).into_any(), text: Some(text) })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Told { object: PyString::new(self.reader.py, text).into_any(), text: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let class = self.reader.class.clone().filter(|_| matches!(self.place, Place::Rows));
        let mut shapes = Shapes { known: Vec::new(), last: 0, class };
        let list = PyList::empty(self.reader.py);
        let reader = self.reader;
        while let Some(item) = items.next_element_seed(Seed { reader, place: Place::Row(&mut shapes) })? {
            list.append(item.object).map_err(A::Error::custom)?;
        }
        Ok(Told { object: list.into_any(), text: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let reader = self.reader;
        if let Place::Row(shapes) = self.place {
            return shapes.row(reader, map).map(|object| Told { object, text: None });
        }
        let dict = PyDict::new(reader.py);
        while let Some(key) = map.next_key_seed(Key)? {
            let is_rows = matches!(self.place, Place::Top) && key == "items";
            let key = reader.key(key);
            let place = if is_rows { Place::Rows } else { Place::Else };
            let value = map.next_value_seed(Seed { reader, place })?;
            dict.set_item(key, value.object).map_err(A::Error::custom)?;
        }
        Ok(Told { object: dict.into_any(), text: None })
    }
}

/// A key, without a copy if it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// What is known of the rows of one list.
struct Shapes<'py, 'de> {
    known: Vec<Shape<'py, 'de>>,
    /// The one that the last row had.
    last: usize,
    class: Option<Bound<'py, PyAny>>,
}

/// A sequence of keys, and the first row that had it.
struct Shape<'py, 'de> {
    keys: Vec<(Cow<'de, str>, Bound<'py, PyString>)>,
    /// In each column what stands in the first row, and what stood in the last one.
    cells: Vec<[Option<Told<'py, 'de>>; 2]>,
    first: Bound<'py, PyDict>,
}

impl<'py, 'de> Shapes<'py, 'de> {
    fn row<A: MapAccess<'de>>(
        &mut self,
        reader: &mut Reader<'py, 'de>,
        mut map: A,
    ) -> Result<Bound<'py, PyAny>, A::Error> {
        let mut values: Vec<Told<'py, 'de>> =
            Vec::with_capacity(self.known.first().map_or(8, |shape| shape.keys.len()));
        // Keys from the first on that no shape has.
        let mut rest: Vec<Cow<'de, str>> = Vec::new();
        let mut shape = self.last;
        while let Some(key) = map.next_key_seed(Key)? {
            let fits = if rest.is_empty() { self.fitting(shape, values.len(), &key) } else { None };
            let value = match fits {
                Some(fits) => {
                    shape = fits;
                    let place = Place::Cell(&self.known[shape].cells[values.len()]);
                    map.next_value_seed(Seed { reader, place })?
                }
                None => {
                    rest.push(key);
                    map.next_value_seed(Seed { reader, place: Place::Else })?
                }
            };
            values.push(value);
        }
        let whole = rest.is_empty() && self.known.get(shape).is_some_and(|shape| shape.keys.len() == values.len());
        let row = if whole { self.copied(shape, values) } else { self.learned(reader, shape, values, rest) };
        row.map_err(A::Error::custom)
    }

    /// The shape that has `key` in this place, after the same keys as `shape`.
    fn fitting(&self, shape: usize, at: usize, key: &str) -> Option<usize> {
        let has = |other: &Shape<'_, '_>| other.keys.get(at).is_some_and(|(known, _)| known == key);
        let now = self.known.get(shape)?;
        if has(now) {
            return Some(shape);
        }
        let same = |(a, b): (&(Cow<'de, str>, _), &(Cow<'de, str>, _))| a.0 == b.0;
        self.known.iter().position(|other| has(other) && other.keys[..at].iter().zip(&now.keys[..at]).all(same))
    }

    /// A row of a shape that is known.
    fn copied(&mut self, at: usize, values: Vec<Told<'py, 'de>>) -> PyResult<Bound<'py, PyAny>> {
        self.last = at;
        let shape = &mut self.known[at];
        let row = made(self.class.as_ref(), &shape.first)?;
        let dict = row.cast::<PyDict>()?;
        for ((value, (_, key)), cell) in values.into_iter().zip(&shape.keys).zip(&mut shape.cells) {
            if !cell[0].as_ref().is_some_and(|first| first.object.is(&value.object)) {
                dict.set_item(key, &value.object)?;
                cell[1] = value.text.is_some().then_some(value);
            }
        }
        Ok(row)
    }

    /// A row of another shape, which is known from now on. Its first keys are those of `shape`.
    fn learned(
        &mut self,
        reader: &mut Reader<'py, 'de>,
        shape: usize,
        values: Vec<Told<'py, 'de>>,
        rest: Vec<Cow<'de, str>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let before = values.len() - rest.len();
        let mut keys: Vec<_> = self.known.get(shape).map_or(Vec::new(), |shape| shape.keys[..before].to_vec());
        keys.extend(rest.into_iter().map(|key| (key.clone(), reader.key(key))));
        let first = PyDict::new(reader.py);
        for ((_, key), value) in keys.iter().zip(&values) {
            first.set_item(key, &value.object)?;
        }
        let row = made(self.class.as_ref(), &first)?;
        // Where a key stands twice, what counts is the last.
        if self.known.len() < SHAPES_MAX && first.len() == keys.len() && !keys.is_empty() {
            self.last = self.known.len();
            let cells = values.into_iter().map(|value| [Some(value), None]).collect();
            self.known.push(Shape { keys, cells, first });
        }
        Ok(row)
    }
}

fn made<'py>(class: Option<&Bound<'py, PyAny>>, like: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    match class {
        Some(class) => class.call1((like,)),
        None => Ok(like.copy()?.into_any()),
    }
}
