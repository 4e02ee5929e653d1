//! Errors of the core as exceptions. The classes are Python's (`fastn/errors.py`), found by their names.

use fastn_sdk::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::decode::value;

static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    match exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}

/// The same as an object that is not raised yet.
pub(crate) fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let told = PyDict::new(py);
    told.set_item("operation", &error.operation)?;
    told.set_item("code", error.code.map(|code| code.as_str()))?;
    told.set_item("status", error.status)?;
    told.set_item("request_id", error.request_id.as_deref())?;
    told.set_item("retry_after", error.retry_after.map(|wait| wait.as_secs_f64()))?;
    told.set_item("execution_id", error.execution_id.as_deref())?;
    told.set_item("base_url", error.base_url.as_deref())?;
    told.set_item("details", value(py, &error.problem)?)?;
    let fields: Vec<(&str, &str)> =
        error.fields.iter().map(|field| (field.path.as_str(), field.message.as_str())).collect();
    told.set_item("fields", fields)?;
    make(py, &error.name(), &error.detail, &told)
}

/// An exception of this binding's own, which no server has told of.
pub(crate) fn refuse(py: Python<'_>, name: &str, operation: &str, detail: &str) -> PyErr {
    let told = PyDict::new(py);
    let made = told.set_item("operation", operation).and_then(|()| make(py, name, detail, &told));
    made.map_or_else(|other| other, PyErr::from_value)
}

pub(crate) fn closed(py: Python<'_>) -> PyErr {
    refuse(py, "ConfigError", "use the client", "the client is closed; make another one")
}

pub(crate) fn not_understood(py: Python<'_>, operation: &str, why: &str) -> PyErr {
    refuse(py, "BadAnswerError", operation, &format!("the answer was not understood: {why}"))
}

fn make<'py>(py: Python<'py>, name: &str, detail: &str, told: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    MAKE.import(py, "fastn._failure", "make")?.call((name, detail), Some(told))
}
