//! What subscriptions of connector apps need of the rest of the process.

use std::sync::Arc;

use futures_util::future::BoxFuture;

/// A request to an app. It may hold secrets, so it does not show itself.
#[derive(Clone)]
pub struct AppRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// An app's answer, whatever its status.
#[derive(Clone)]
pub struct AppAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Makes a request to an app once. The error says why there is no answer, without anything of the request.
pub type CallApp = Arc<dyn Fn(AppRequest) -> BoxFuture<'static, Result<AppAnswer, String>> + Send + Sync>;

/// See the head of this file.
#[derive(Clone)]
pub struct AppPorts {
    /// Opens secrets for requests to apps.
    pub open_secret: fastn_ingest::OpenSecret,
    /// Calls apps.
    pub call: CallApp,
    /// The base URL under which senders reach this node; what the caller used when absent.
    pub public_url: Option<String>,
}
