//! How webhook senders prove themselves: one file per scheme.
//!
//! Every signing scheme is the same shape, [`Signed`]: from the secret and the headers it makes a key, the bytes that
//! stand before the body in what was signed, and the signatures that came along. Only then is the body read and hashed.
//! The body is hashed as it was sent, before content decoding (see `body.rs`).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

pub(crate) mod github;
pub(crate) mod standard_webhooks;

/// Most signatures of one request that are compared.
pub(crate) const SIGNATURES_MAX: usize = 16;

/// An HMAC-SHA-256 signature whose body is still to come.
#[derive(Clone)]
pub(crate) struct Signed {
    /// The signing key.
    pub(crate) key: Vec<u8>,
    /// What stands before the body in what was signed.
    pub(crate) prefix: Vec<u8>,
    /// The signatures that the sender gave. One right one is enough: a sender who changes its key signs with both.
    pub(crate) candidates: Vec<[u8; 32]>,
}

impl Signed {
    /// Compares in constant time.
    pub(crate) fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.key));
        context.update(&self.prefix);
        context.update(body);
        let expected = context.sign();
        let matches = |candidate: &&[u8; 32]| verify_slices_are_equal(candidate.as_slice(), expected.as_ref()).is_ok();
        self.candidates.iter().find(matches).map(|_| ()).ok_or(Refusal::Mismatch)
    }
}

/// Why a webhook could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A header that the scheme needs is not there.
    Missing(&'static str),
    /// A header does not look as the scheme says.
    Malformed(&'static str),
    /// The timestamp is outside the window.
    Expired,
    /// No signature fits.
    Mismatch,
    /// The trigger's secret is no key of this scheme.
    BadKey,
    /// The trigger's secret does not exist.
    NoKey,
    /// The access key is missing, unknown, expired, or not for this trigger.
    AccessKey,
}

impl Refusal {
    /// The bounded label of metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Refusal::Missing(_) => "missing",
            Refusal::Malformed(_) => "malformed",
            Refusal::Expired => "expired",
            Refusal::Mismatch => "mismatch",
            Refusal::BadKey | Refusal::NoKey => "key",
            Refusal::AccessKey => "access_key",
        }
    }

    /// What the sender is told: enough to repair its side, nothing about the key.
    pub(crate) fn detail(self) -> String {
        match self {
            Refusal::Missing(header) => format!("The header {header} is missing."),
            Refusal::Malformed(header) => format!("The header {header} is not in the form that the scheme asks for."),
            Refusal::Expired => "The timestamp is more than 5 minutes away from now. Check the sender's clock.".to_owned(),
            Refusal::Mismatch => {
                "No signature fits. Check that both sides hold the same secret and that nothing between them changes the body."
                    .to_owned()
            }
            Refusal::BadKey => "The trigger's signing secret is not a key of this scheme. Its owner must set it.".to_owned(),
            Refusal::NoKey => "The trigger's signing secret does not exist. Its owner must create it.".to_owned(),
            Refusal::AccessKey => "The access key is missing, or not valid for this trigger and customer.".to_owned(),
        }
    }
}
