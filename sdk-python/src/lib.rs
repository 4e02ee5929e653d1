//! The module `fastn._native`: sdk-rust for Python. It converts and waits, and decides nothing: attempts, waits, keys, pages and
//! errors are the core's. What people use is the package around it, in `python/fastn`.

mod batcher;
mod bridge;
mod client;
mod decode;
mod encode;
mod engine;
mod failure;
mod stream;
mod webhook;

use pyo3::prelude::*;

/// The client's machinery. Use the package `fastn`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::batcher::Batcher;
    #[pymodule_export]
    use super::bridge::{Call, Mailbox};
    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    use super::webhook::verify_webhook;
    #[pymodule_export]
    use super::{dumps, loads};
}

/// JSON text of an object, as requests are written.
#[pyfunction]
fn dumps<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
    Ok(pyo3::types::PyBytes::new(py, &encode::encode(value)?))
}

/// The object of JSON text, as answers are read.
#[pyfunction]
#[pyo3(signature = (text, row_class=None))]
fn loads<'py>(py: Python<'py>, text: &[u8], row_class: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    decode::decode(py, text, row_class).map_err(pyo3::exceptions::PyValueError::new_err)
}
