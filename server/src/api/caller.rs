//! Who calls: the account and customer that a request is bound to, proved by its access key, and whether its kind of key
//! may call the operation at all.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fastn_contract::HEADER_CUSTOMER;
use fastn_contract::error::ErrorCode;
use fastn_domain::{AccountId, CustomerId, Reach, Scope};

use super::problem::{ApiError, ApiResult};
use super::{Api, access, extract};

/// A caller whose key was checked.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) account: AccountId,
    /// The one customer that the key may act for, if it is so bound.
    bound: Option<CustomerId>,
    /// The customer that the request names, or that the key is bound to.
    customer: Option<CustomerId>,
}

impl Caller {
    /// How far the request may look.
    pub(crate) fn reach(&self) -> Reach {
        match &self.customer {
            Some(customer) => Reach::Customer(Scope::new(self.account.clone(), customer.clone())),
            None => Reach::Account(self.account.clone()),
        }
    }

    /// The customer to act for; a request that needs one must name it.
    pub(crate) fn scope(&self) -> ApiResult<Scope> {
        match &self.customer {
            Some(customer) => Ok(Scope::new(self.account.clone(), customer.clone())),
            None => Err(ApiError::invalid(HEADER_CUSTOMER, "name the customer to act for in this header")),
        }
    }

    /// Refuses keys of one customer where the account's own configuration is changed.
    pub(crate) fn may_configure(&self) -> ApiResult<()> {
        match &self.bound {
            None => Ok(()),
            Some(customer) => Err(ApiError::new(
                ErrorCode::Forbidden,
                format!("this key acts for customer {customer} only; use a key of the account"),
            )),
        }
    }

    /// Refuses a key of one customer, and a request that names one, to touch another's objects.
    pub(crate) fn may_configure_for(&self, customer: Option<&CustomerId>) -> ApiResult<()> {
        match (&self.customer, customer) {
            (Some(named), Some(customer)) if named == customer => Ok(()),
            (Some(named), Some(customer)) => Err(ApiError::new(
                ErrorCode::Forbidden,
                format!("this request is for customer {named}, and the object is of customer {customer}"),
            )),
            _ => self.may_configure(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let missing = || ApiError::new(ErrorCode::AuthInvalid, "send an access key in x-fastn-access-key");
        parts.extensions.get::<Caller>().cloned().ok_or_else(missing)
    }
}

/// Checks the key, and that it may call the operation, and binds the request to its caller.
pub(crate) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let caller = caller_of(&api, request.headers());
    match caller.and_then(|caller| access::check(&caller, request.method(), route).map(|()| caller)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

fn caller_of(api: &Api, headers: &HeaderMap) -> ApiResult<Caller> {
    let catalog = api.catalog.current();
    let caller = fastn_ingest::auth::authenticate(&catalog, headers, api.clock.now())?;
    let named = text_of(headers, HEADER_CUSTOMER)?.map(CustomerId::new).transpose();
    let named = extract::checked(HEADER_CUSTOMER, named)?;
    let customer = match (&caller.customer, named) {
        (Some(bound), Some(named)) if *bound != named => {
            return Err(ApiError::new(ErrorCode::Forbidden, format!("this key does not act for customer {named}")));
        }
        (Some(bound), _) => Some(bound.clone()),
        (None, named) => named,
    };
    if let Some(customer) = &customer {
        api.residency.check(&catalog, &Scope::new(caller.account.clone(), customer.clone()))?;
    }
    Ok(Caller { account: caller.account, bound: caller.customer, customer })
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> ApiResult<Option<&'h str>> {
    let text = |value: &'h axum::http::HeaderValue| value.to_str();
    headers.get(name).map(text).transpose().map_err(|_| ApiError::invalid(name, "must be plain text"))
}
