//! Access keys: the one place that decides who a request comes from and which customer it may act for.
//!
//! Keys are looked up by their SHA-256, so nothing that is compared byte by byte depends on a secret.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::{HEADER_ACCESS_KEY, HEADER_ACCOUNT, HEADER_CUSTOMER};
use fastn_domain::catalog::Catalog;
use fastn_domain::{AccountId, CustomerId, Scope, Timestamp};

use crate::hex;
use crate::problem::invalid_part;

/// Longest access key that is hashed.
const ACCESS_KEY_BYTES_MAX: usize = 256;

/// Who a request comes from, proven by its access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account that owns the key.
    pub account: AccountId,
    /// The key's id, for logs and audit.
    pub key_id: String,
    /// The one customer that the key may act for; absent for all of the account.
    pub customer: Option<CustomerId>,
}

impl Caller {
    /// The customer that the request is for: the one in the customer header, else the one that the key is bound to.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` without any or with one that is no id, `FORBIDDEN` for one that the key may not act for,
    /// `NOT_FOUND` for one that the account does not have.
    pub fn scope(&self, catalog: &Catalog, headers: &HeaderMap) -> Result<Scope, Problem> {
        let customer = self.acts_for(headers)?.ok_or_else(customer_missing)?;
        known_scope(catalog, Scope::new(self.account.clone(), customer))
    }

    /// The customer that the customer header names, else the one that the key is bound to, if it is to one.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for one that is no id, `FORBIDDEN` for one that the key may not act for.
    pub fn acts_for(&self, headers: &HeaderMap) -> Result<Option<CustomerId>, Problem> {
        match (customer_header(headers)?, &self.customer) {
            (Some(asked), Some(own)) if asked != *own => {
                let detail = format!("The access key {} acts for another customer than {asked}.", self.key_id);
                Err(Problem::new(ErrorCode::Forbidden, detail))
            }
            (Some(asked), _) => Ok(Some(asked)),
            (None, own) => Ok(own.clone()),
        }
    }
}

/// Finds out who sent a request.
///
/// # Errors
/// `AUTH_INVALID` for a missing or unknown key, `AUTH_EXPIRED` for one whose time is over, `FORBIDDEN` when the account
/// header names another account than the key's.
pub fn authenticate(catalog: &Catalog, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Problem> {
    let key = access_key(headers).ok_or_else(|| {
        let detail = format!("Send an access key in {HEADER_ACCESS_KEY}, or as Authorization: Bearer <key>.");
        Problem::new(ErrorCode::AuthInvalid, detail)
    })?;
    let found = (key.len() <= ACCESS_KEY_BYTES_MAX).then(|| catalog.access_key(&key_hash(key))).flatten();
    let Some((account, stored)) = found else {
        return Err(Problem::new(ErrorCode::AuthInvalid, "The access key is not known. Was it revoked?"));
    };
    if stored.expires.is_some_and(|expires| expires <= now) {
        let detail = format!("The access key {} has expired. Create a new one.", stored.id);
        return Err(Problem::new(ErrorCode::AuthExpired, detail));
    }
    if headers.get(HEADER_ACCOUNT).is_some_and(|named| named.as_bytes() != account.as_str().as_bytes()) {
        let detail = format!("{HEADER_ACCOUNT} names another account than the access key {} belongs to.", stored.id);
        return Err(Problem::new(ErrorCode::Forbidden, detail));
    }
    Ok(Caller { account: account.clone(), key_id: stored.id.clone(), customer: stored.customer.clone() })
}

/// The form in which an access key is kept: its SHA-256 in lower-case hex.
pub fn key_hash(key: &str) -> String {
    hex::encode(digest(&SHA256, key.as_bytes()).as_ref())
}

/// The customer that the customer header names, if it is there.
pub(crate) fn customer_header(headers: &HeaderMap) -> Result<Option<CustomerId>, Problem> {
    let Some(value) = headers.get(HEADER_CUSTOMER) else { return Ok(None) };
    let text = value.to_str().map_err(|_| invalid_part(HEADER_CUSTOMER, "is not a customer id"))?;
    CustomerId::new(text).map(Some).map_err(|error| invalid_part(HEADER_CUSTOMER, error.to_string()))
}

/// The answer to a request that should name a customer and does not.
pub(crate) fn customer_missing() -> Problem {
    invalid_part(HEADER_CUSTOMER, "is missing; name the customer that this is for")
}

/// `scope`, if its account has its customer.
pub(crate) fn known_scope(catalog: &Catalog, scope: Scope) -> Result<Scope, Problem> {
    if catalog.customer(&scope).is_some() {
        return Ok(scope);
    }
    let detail = format!("The account has no customer {}. Create it first with PUT /v1/customers/{0}.", scope.customer);
    Err(Problem::new(ErrorCode::NotFound, detail))
}

/// The access key of a request, unchecked.
pub fn access_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(HEADER_ACCESS_KEY) {
        return key.to_str().ok();
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
