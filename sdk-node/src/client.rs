//! The client: its runtime, which is its own so that nothing is left of it when it is closed, and what JavaScript fetches.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastn_sdk::Fastn;
use napi::Env;
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use tokio::runtime::{Builder, Runtime};

use crate::completions::{Completions, Outcome, Told, Wake};
use crate::told::{refused, told};
use crate::view::NativeView;

/// Threads that make requests. One is enough for the network; with two, compression and TLS of one call delay no other.
const THREADS: usize = 2;
/// How long `close` waits for threads that look up names.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// What a client is made of. The environment is JavaScript's: workers and test runners have their own.
#[napi(object, object_to_js = false)]
pub(crate) struct Settings {
    /// The server.
    pub url: Option<String>,
    /// The key.
    pub access_key: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The customer.
    pub customer: Option<String>,
    /// Milliseconds of an attempt.
    pub timeout: Option<f64>,
    /// Attempts of a call.
    pub attempts_max: Option<u32>,
    /// The proxy.
    pub proxy: Option<String>,
    /// Authorities, PEM.
    pub ca_certificates: Option<String>,
    /// The name of this client and its version.
    pub agent: String,
}

/// What is there until the client is closed.
pub(crate) struct Open {
    pub(crate) runtime: Runtime,
}

impl Open {
    /// Starts the task of a call.
    pub(crate) fn start(
        &self,
        completions: &Arc<Completions>,
        call: u32,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let of_task = Arc::clone(completions);
        completions.run(call, || {
            let task = self.runtime.spawn(async move { of_task.done(call, work.await) });
            task.abort_handle()
        });
    }
}

/// What all parts of a client share. Tasks hold the completions alone: the runtime must not end in one of its threads.
pub(crate) struct Shared {
    pub(crate) completions: Arc<Completions>,
    open: Mutex<Option<Open>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the runtime, unless the client is closed.
    pub(crate) fn with<T>(&self, what: impl FnOnce(&Open) -> T) -> Option<T> {
        self.open().as_ref().map(what)
    }

    /// Runs the call, which fails when the client is closed.
    pub(crate) fn start(&self, call: u32, work: impl Future<Output = Outcome> + Send + 'static) {
        if self.with(|open| open.start(&self.completions, call, work)).is_none() {
            self.completions.put(call, Outcome::Failed(refused("make a request", "the client is closed")));
        }
    }
}

impl Drop for Shared {
    /// A client that was not closed leaves no thread that waits for another.
    fn drop(&mut self) {
        if let Some(open) = self.open().take() {
            open.runtime.shutdown_background();
        }
    }
}

/// A client.
#[napi]
pub struct NativeClient {
    shared: Arc<Shared>,
    fastn: Fastn,
}

/// Makes a client, or tells as JSON text why it cannot be. `wake` is called when calls have ended.
#[napi]
pub(crate) fn open(settings: Settings, wake: Wake) -> Either<NativeClient, String> {
    let mut builder = Fastn::builder().user_agent(settings.agent);
    let texts = [
        (settings.url, fastn_sdk::Builder::url as fn(_, String) -> _),
        (settings.access_key, fastn_sdk::Builder::access_key),
        (settings.account, fastn_sdk::Builder::account),
        (settings.customer, fastn_sdk::Builder::customer),
        (settings.proxy, fastn_sdk::Builder::proxy),
    ];
    for (value, set) in texts {
        builder = value.into_iter().fold(builder, set);
    }
    builder = settings.ca_certificates.into_iter().fold(builder, |builder, pem| builder.ca_certificates(pem));
    builder = settings.timeout.into_iter().fold(builder, |builder, limit| builder.timeout(millis(limit)));
    builder = settings.attempts_max.into_iter().fold(builder, fastn_sdk::Builder::attempts_max);
    let fastn = match builder.build() {
        Ok(fastn) => fastn,
        Err(error) => return Either::B(told(&error).to_string()),
    };
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("fastn").enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Either::B(refused("start the client's threads", &error.to_string()).to_string()),
    };
    let shared = Shared { completions: Arc::new(Completions::new(wake)), open: Mutex::new(Some(Open { runtime })) };
    Either::A(NativeClient { shared: Arc::new(shared), fastn })
}

/// Whole milliseconds from JavaScript.
pub(crate) fn millis(limit: f64) -> Duration {
    Duration::try_from_secs_f64(limit / 1_000.0).unwrap_or(Duration::ZERO)
}

#[napi]
impl NativeClient {
    /// The server.
    #[napi]
    pub fn url(&self) -> String {
        self.fastn.url().to_owned()
    }

    /// As the client is configured.
    #[napi]
    pub fn view(&self) -> NativeView {
        NativeView::new(&self.shared, self.fastn.clone(), None)
    }

    /// For the account as a whole.
    #[napi]
    pub fn account(&self) -> NativeView {
        NativeView::new(&self.shared, self.fastn.account(), None)
    }

    /// For one customer, without a name the one that is configured; or as JSON text why there is none.
    #[napi]
    pub fn customer(&self, customer: Option<String>) -> Either<NativeView, String> {
        let bound = match customer {
            Some(customer) => Ok(self.fastn.customer(customer)),
            None => self.fastn.configured_customer(),
        };
        match bound {
            Ok(bound) => Either::A(NativeView::new(&self.shared, (*bound).clone(), Some(bound))),
            Err(error) => Either::B(told(&error).to_string()),
        }
    }

    /// See [`Completions::drain`].
    #[napi]
    pub fn drain(&self) -> Vec<Told> {
        self.shared.completions.drain()
    }

    /// See [`Completions::hold`].
    #[napi]
    pub fn hold(&self, env: Env, awaited: bool) -> napi::Result<()> {
        self.shared.completions.hold(&env, awaited)
    }

    /// Ends a call.
    #[napi]
    pub fn cancel(&self, call: u32) {
        self.shared.completions.cancel(call);
    }

    /// Ends the client: every call, thread and connection. The call ends when they have.
    #[napi]
    pub fn close(&self, call: u32) {
        let completions = Arc::clone(&self.shared.completions);
        let Some(open) = self.shared.open().take() else {
            completions.put(call, Outcome::End);
            return;
        };
        // It waits for threads, so it must not be done in this one, which is JavaScript's.
        std::thread::spawn(move || {
            open.runtime.shutdown_timeout(SHUTDOWN_MAX);
            completions.forget();
            completions.put(call, Outcome::End);
        });
    }
}
