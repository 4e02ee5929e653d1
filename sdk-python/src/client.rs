//! The client as Python's classes use it: each call makes a request, for a thread that waits or for an event loop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastn_sdk::{Error, Fastn, Follow, Request};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use pyo3::prelude::*;

use crate::batcher::Batcher;
use crate::bridge::{Answer, Mailbox, run};
use crate::decode::decode;
use crate::encode::encode;
use crate::engine::Engine;
use crate::failure::{not_understood, raise};
use crate::stream::{Item, Stream};

/// The longest time that is waited for anything.
const LIMIT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Whose calls they are.
#[derive(Clone)]
enum Bound {
    /// What the configuration says.
    Configured,
    Account,
    Customer(String),
}

/// A client, or a view of one that is bound to a customer.
#[pyclass(frozen)]
pub(crate) struct Client {
    engine: Arc<Engine>,
    bound: Bound,
}

/// How requests differ apart from what they ask for.
#[derive(FromPyObject)]
struct Asked {
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    idempotency_key: Option<String>,
    once: bool,
    timeout: Option<f64>,
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (agent, url, access_key, account, customer, timeout, attempts_max, proxy, ca_certificates))]
    #[expect(clippy::too_many_arguments, reason = "each is a setting of its own")]
    fn new(
        py: Python<'_>,
        agent: String,
        url: Option<String>,
        access_key: Option<String>,
        account: Option<String>,
        customer: Option<String>,
        timeout: Option<f64>,
        attempts_max: Option<u32>,
        proxy: Option<String>,
        ca_certificates: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let mut builder = Fastn::builder().user_agent(agent);
        if let Some(url) = url {
            builder = builder.url(url);
        }
        if let Some(key) = access_key {
            builder = builder.access_key(key);
        }
        if let Some(account) = account {
            builder = builder.account(account);
        }
        if let Some(customer) = customer {
            builder = builder.customer(customer);
        }
        if let Some(timeout) = timeout {
            builder = builder.timeout(duration(timeout));
        }
        if let Some(attempts) = attempts_max {
            builder = builder.attempts_max(attempts);
        }
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = ca_certificates {
            builder = builder.ca_certificates(pem);
        }
        let fastn = builder.build().map_err(|error| raise(py, &error))?;
        Ok(Self { engine: Arc::new(Engine::new(fastn)), bound: Bound::Configured })
    }

    /// The server.
    #[getter]
    fn url(&self) -> &str {
        self.engine.origin().url()
    }

    /// The customer that it is bound to.
    #[getter]
    fn customer_id(&self) -> Option<String> {
        match &self.bound {
            Bound::Customer(id) => Some(id.clone()),
            Bound::Account => None,
            Bound::Configured => {
                self.engine.origin().configured_customer().ok().map(|customer| customer.id().to_owned())
            }
        }
    }

    /// The same bound to a customer, the configured one when none is named.
    #[pyo3(signature = (id))]
    fn customer(&self, py: Python<'_>, id: Option<String>) -> PyResult<Self> {
        let id = match id {
            Some(id) => id,
            None => {
                let configured = self.engine.origin().configured_customer().map_err(|error| raise(py, &error))?;
                configured.id().to_owned()
            }
        };
        Ok(Self { engine: Arc::clone(&self.engine), bound: Bound::Customer(id) })
    }

    /// The same for the account as a whole.
    fn for_account(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), bound: Bound::Account }
    }

    /// Makes a request; its answer is an object. Rows of a page become `row_class`.
    #[pyo3(signature = (mailbox, method, path, asked, body, raw, row_class))]
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own of the request")]
    fn request<'py>(
        &self,
        py: Python<'py>,
        mailbox: Option<&Mailbox>,
        method: String,
        path: Vec<String>,
        asked: Asked,
        body: Option<&pyo3::Bound<'py, PyAny>>,
        raw: Option<Vec<u8>>,
        row_class: Option<Py<PyAny>>,
    ) -> PyResult<pyo3::Bound<'py, PyAny>> {
        let (fastn, handle) = self.live(py)?;
        let request = request(method, path, asked, body, raw)?;
        let operation = format!("{} /{}", request.method, request.path.join("/"));
        run(py, &handle, mailbox, async move { object(fastn.request(request).await, operation, row_class) })
    }

    /// Waits for an execution's end, at most so many seconds.
    fn wait<'py>(
        &self,
        py: Python<'py>,
        mailbox: Option<&Mailbox>,
        execution: String,
        seconds: f64,
    ) -> PyResult<pyo3::Bound<'py, PyAny>> {
        let (fastn, handle) = self.live(py)?;
        run(py, &handle, mailbox, async move {
            object(fastn.wait_raw(&execution, duration(seconds)).await, "wait for an execution".to_owned(), None)
        })
    }

    /// Runs a workflow by a request, and waits for its execution's end.
    fn run_and_wait<'py>(
        &self,
        py: Python<'py>,
        mailbox: Option<&Mailbox>,
        path: Vec<String>,
        asked: Asked,
        body: &pyo3::Bound<'py, PyAny>,
        seconds: f64,
    ) -> PyResult<pyo3::Bound<'py, PyAny>> {
        let (fastn, handle) = self.live(py)?;
        let request = request("POST".to_owned(), path, asked, Some(body), None)?;
        let customer = fastn.configured_customer().map_err(|error| raise(py, &error))?;
        run(py, &handle, mailbox, async move {
            object(
                customer.run_and_wait_raw(request, duration(seconds)).await,
                "wait for an execution".to_owned(),
                None,
            )
        })
    }

    /// Live updates.
    fn follow(&self, py: Python<'_>, execution: Option<String>, workflow: Option<String>) -> PyResult<Stream> {
        let (fastn, _) = self.live(py)?;
        let updates = fastn.follow_raw(Follow { workflow, execution }).map_ok(Item::Update);
        Ok(Stream::new(Arc::clone(&self.engine), updates.boxed()))
    }

    /// The pieces of an answer as they come.
    fn open(&self, py: Python<'_>, path: Vec<String>, asked: Asked) -> PyResult<Stream> {
        let (fastn, _) = self.live(py)?;
        let request = request("GET".to_owned(), path, asked, None, None)?;
        let opened = async move { fastn.open(request).await };
        let pieces = opened.into_stream().try_flatten().map_ok(Item::Piece);
        Ok(Stream::new(Arc::clone(&self.engine), pieces.boxed()))
    }

    /// Sends events in the background.
    #[pyo3(signature = (events_max, bytes_max, wait_max, buffer_bytes_max, give_up_after))]
    fn batcher(
        &self,
        events_max: usize,
        bytes_max: usize,
        wait_max: f64,
        buffer_bytes_max: usize,
        give_up_after: f64,
    ) -> Batcher {
        let options = fastn_sdk::BatchOptions {
            events_max,
            bytes_max,
            wait_max: duration(wait_max),
            buffer_bytes_max,
            give_up_after: duration(give_up_after),
        };
        Batcher::new(Arc::clone(&self.engine), options)
    }

    /// Ends connections and threads, of all views.
    fn close(&self, py: Python<'_>) {
        self.engine.close(py);
    }
}

impl Client {
    fn live(&self, py: Python<'_>) -> PyResult<(Fastn, tokio::runtime::Handle)> {
        let live = self.engine.live(py)?;
        let fastn = match &self.bound {
            Bound::Configured => live.fastn,
            Bound::Account => live.fastn.account(),
            Bound::Customer(id) => (*live.fastn.customer(id.as_str())).clone(),
        };
        Ok((fastn, live.handle))
    }
}

fn request(
    method: String,
    path: Vec<String>,
    asked: Asked,
    body: Option<&pyo3::Bound<'_, PyAny>>,
    raw: Option<Vec<u8>>,
) -> PyResult<Request> {
    let body = match (body, raw) {
        (Some(body), _) => Some(encode(body)?.into()),
        (None, raw) => raw.map(Bytes::from),
    };
    let Asked { query, headers, idempotency_key, once, timeout } = asked;
    Ok(Request { method, path, query, body, idempotency_key, once, headers, timeout: timeout.map(duration) })
}

/// The object that an answer says.
fn object(answer: Result<Bytes, Error>, operation: String, row_class: Option<Py<PyAny>>) -> Answer {
    Box::new(move |py| match answer {
        Ok(text) => decode(py, &text, row_class.map(|class| class.into_bound(py)))
            .map_err(|why| not_understood(py, &operation, &why)),
        Err(error) => Err(raise(py, &error)),
    })
}

/// Seconds of Python; what is no time at all is none.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
}
