//! A client as one customer or the account sees it: what a call is made with.

use std::sync::Arc;

use fastn_sdk::{CustomerClient, Fastn, Follow, Request};
use futures_util::{StreamExt as _, TryStreamExt as _};
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

use crate::batcher::{Gathering, NativeBatcher};
use crate::client::{Shared, millis};
use crate::completions::Outcome;
use crate::stream::{NativeStream, Rows, updates};

/// See the head of this file.
#[napi]
pub struct NativeView {
    shared: Arc<Shared>,
    fastn: Fastn,
    customer: Option<CustomerClient>,
}

/// One request, without its body.
#[napi(object, object_to_js = false)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The parts of the path.
    pub path: Vec<String>,
    /// Names and values of parameters in turn.
    pub query: Option<Vec<String>>,
    /// The key of a write.
    pub idempotency_key: Option<String>,
    /// It may not be sent twice.
    pub once: Option<bool>,
    /// Names and values of headers in turn.
    pub headers: Option<Vec<String>>,
    /// Milliseconds of an attempt.
    pub timeout: Option<f64>,
}

/// Text of JSON, or bytes as they are.
type Body = Option<Either<String, Uint8Array>>;

fn pairs(flat: Option<Vec<String>>) -> Vec<(String, String)> {
    let mut flat = flat.unwrap_or_default().into_iter();
    std::iter::from_fn(|| flat.next().zip(flat.next())).collect()
}

fn request(asked: Asked, body: Body) -> Request {
    Request {
        method: asked.method,
        path: asked.path,
        query: pairs(asked.query),
        body: body.map(|body| match body {
            Either::A(text) => text.into(),
            Either::B(bytes) => bytes.to_vec().into(),
        }),
        idempotency_key: asked.idempotency_key,
        once: asked.once.unwrap_or_default(),
        headers: pairs(asked.headers),
        timeout: asked.timeout.map(millis),
    }
}

impl NativeView {
    pub(crate) fn new(shared: &Arc<Shared>, fastn: Fastn, customer: Option<CustomerClient>) -> Self {
        Self { shared: Arc::clone(shared), fastn, customer }
    }
}

#[napi]
impl NativeView {
    /// The customer that it is bound to.
    #[napi]
    pub fn id(&self) -> Option<String> {
        self.customer.as_ref().map(|customer| customer.id().to_owned())
    }

    /// Makes a request. The call ends with the body of the answer.
    #[napi]
    pub fn request(&self, call: u32, asked: Asked, body: Body) {
        let (fastn, request) = (self.fastn.clone(), request(asked, body));
        self.shared.start(call, async move { Outcome::of(fastn.request(request).await) });
    }

    /// Waits for an execution, so many milliseconds at most. The call ends with the execution.
    #[napi]
    pub fn wait(&self, call: u32, id: String, limit: f64) {
        let fastn = self.fastn.clone();
        self.shared.start(call, async move { Outcome::of(fastn.wait_raw(&id, millis(limit)).await) });
    }

    /// Runs a workflow and waits for its execution. Only for a customer.
    #[napi]
    pub fn run_and_wait(&self, call: u32, asked: Asked, body: Body, limit: f64) {
        let Some(customer) = self.customer.clone() else { return self.shared.completions.put(call, Outcome::End) };
        let request = request(asked, body);
        let work = async move { Outcome::of(customer.run_and_wait_raw(request, millis(limit)).await) };
        self.shared.start(call, work);
    }

    /// Follows executions: texts of `ExecutionUpdate`, or `null` where some were missed.
    #[napi]
    pub fn follow(&self, workflow: Option<String>, execution: Option<String>) -> NativeStream {
        let updates = updates(self.fastn.follow_raw(Follow { workflow, execution }));
        NativeStream::new(&self.shared, updates)
    }

    /// An answer of JSON lines: texts of arrays of them, as they come.
    #[napi]
    pub fn rows(&self, asked: Asked) -> NativeStream {
        let (fastn, request) = (self.fastn.clone(), request(asked, None));
        let pieces = futures_util::stream::once(async move { fastn.open(request).await }).try_flatten();
        NativeStream::new(&self.shared, Rows::of(pieces.boxed()))
    }

    /// Sends events in the background; `null` when the client is closed.
    #[napi]
    pub fn batcher(&self, gathering: Gathering) -> Option<NativeBatcher> {
        NativeBatcher::new(&self.shared, &self.fastn, gathering)
    }
}
