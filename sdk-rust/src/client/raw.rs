//! Requests as bindings for other languages make them: JSON text in, JSON text out. What a call is apart from its types, such as
//! its attempts and its errors, is the same as in this language.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;

use super::Fastn;
use crate::error::{Error, ErrorKind};
use crate::follow::{Follow, RawUpdate, follow_raw};
use crate::transport::Call;

/// One request. The customer is the client's.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `PUT`, `POST` or `DELETE`.
    pub method: String,
    /// The parts of the path, not encoded, e.g. `["v1", "executions", "exec_1"]`.
    pub path: Vec<String>,
    /// Parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// JSON text.
    pub body: Option<Bytes>,
    /// The key of a write; one by chance when absent.
    pub idempotency_key: Option<String>,
    /// The request may not be sent twice, so it has no idempotency key: a webhook sent in its provider's place.
    pub once: bool,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Time limit of one attempt; the client's when absent.
    pub timeout: Option<Duration>,
}

impl Fastn {
    /// Makes a request and answers the body of its answer, which is empty where there is none.
    ///
    /// # Errors
    /// As any call; `Config` when the request is none.
    pub async fn request(&self, request: Request) -> Result<Bytes, Error> {
        self.transport.bytes(self.call_of(request)?).await
    }

    /// Makes a request whose answer comes in pieces, such as an export.
    ///
    /// # Errors
    /// As any call. A piece is an error when the connection breaks.
    pub async fn open(
        &self,
        request: Request,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let call = self.call_of(request)?;
        let name = call.name();
        let response = self.transport.open(&call).await?;
        let broken = move |_| Error::new(ErrorKind::Unknown, name.clone(), "the connection broke within the answer");
        Ok(response.bytes_stream().map(move |piece| piece.map_err(&broken)))
    }

    /// As [`Fastn::follow`], with updates as they were sent.
    pub fn follow_raw(&self, what: Follow) -> impl Stream<Item = Result<RawUpdate, Error>> + Send + use<> {
        follow_raw(self.transport.clone(), self.customer.clone(), what)
    }

    fn call_of(&self, request: Request) -> Result<Call, Error> {
        let refused = |detail: &str| Error::new(ErrorKind::Config, "make a request", detail);
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| refused("the method is none"))?;
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let mut call = self.call(method, &path)?;
        call = call.with_key(request.idempotency_key.as_deref())?.timeout(request.timeout);
        if request.once {
            call = call.without_key();
        }
        for (name, value) in request.query {
            call = call.query(name, Some(value));
        }
        if let Some(body) = request.body {
            call = call.raw("application/json", body);
        }
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        Ok(call)
    }
}
