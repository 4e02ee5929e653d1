//! Who is asking at a public URL: the headers against the scheme of a trigger or an app, with its secrets.

use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::verification::{Challenge, SecretNames, Verification};
use fastn_domain::catalog::Catalog;
use fastn_domain::{AccountId, CustomerId};

use crate::edge::{OpenSecret, SecretAt};
use crate::observe;
use crate::problem::retry_after;
use crate::verify::{
    Check, Refusal, Sent, Signed, Window, basic, client_certificate, custom_hmac, dropbox, github, hubspot, linear,
    meta, notion, shopify, slack, standard_webhooks, stripe, text_keys, token, twilio, zendesk,
};

/// A public URL and what guards it.
#[derive(Clone, Copy)]
pub(crate) struct Guarded<'a> {
    /// Whose it is.
    pub(crate) account: &'a AccountId,
    /// The customer that the request is for; an app's URL is for many.
    pub(crate) customer: Option<&'a CustomerId>,
    /// The trigger or the app, for log lines.
    pub(crate) name: &'a str,
    /// The scheme.
    pub(crate) verification: &'a Verification,
    /// The handshake that is configured beside the scheme's own.
    pub(crate) challenge: Option<&'a Challenge>,
}

/// The secrets of the moment.
#[derive(Clone, Copy)]
pub(crate) struct Secrets<'a> {
    /// The configuration.
    pub(crate) catalog: &'a Catalog,
    /// The vault.
    pub(crate) open: &'a OpenSecret,
}

impl Guarded<'_> {
    /// The answer to a request that is refused.
    pub(crate) fn refused(&self, refusal: &Refusal) -> Problem {
        observe::verification_failed(self.verification.scheme(), self.name, refusal.label());
        Problem::new(ErrorCode::WebhookAuthFailed, refusal.detail())
    }

    /// What the headers prove, and what the body has still to prove. Access keys are another matter: this takes them as
    /// proven.
    pub(crate) fn prove(&self, secrets: Secrets<'_>, sent: Sent<'_>) -> Result<Check, Problem> {
        let keys = match self.verification.secrets().first() {
            Some(names) => self.keys(secrets, names)?,
            None => Vec::new(),
        };
        self.check(&keys, sent).map_err(|refusal| self.refused(&refusal))
    }

    fn check(&self, keys: &[String], sent: Sent<'_>) -> Result<Check, Refusal> {
        let window = Window::around(sent.now, self.verification.tolerance_seconds());
        let signed = |signed: Result<Signed, Refusal>| signed.map(Check::Signed);
        match self.verification {
            Verification::AccessKey | Verification::Public => Ok(Check::Done),
            Verification::Github { .. } => signed(github::signed(keys, sent)),
            Verification::StandardWebhooks { .. } => signed(standard_webhooks::signed(keys, sent, window)),
            Verification::Svix { .. } => signed(standard_webhooks::svix(keys, sent, window)),
            Verification::Stripe { .. } => signed(stripe::signed(keys, sent, window)),
            Verification::Slack { .. } => signed(slack::signed(keys, sent, window)),
            Verification::Shopify { .. } => signed(shopify::signed(keys, sent)),
            Verification::Hubspot { version, url, .. } => {
                signed(hubspot::signed(*version, keys, url.as_deref(), sent, window))
            }
            Verification::Twilio { url, .. } => twilio::signed(keys, url.as_deref(), sent).map(Check::Twilio),
            Verification::Linear { .. } => linear::signed(keys, sent).map(|signed| Check::Linear(signed, window)),
            Verification::Zendesk { .. } => signed(zendesk::signed(keys, sent, window)),
            Verification::Meta { .. } => signed(meta::signed(keys, sent)),
            Verification::Dropbox { .. } => signed(dropbox::signed(keys, sent)),
            Verification::Notion { .. } => signed(notion::signed(keys, sent)),
            Verification::MicrosoftGraph { .. } => text_keys(keys).map(|_| Check::ClientState(keys.to_vec())),
            Verification::Hmac(scheme) => signed(custom_hmac::signed(scheme, keys, sent, window)),
            Verification::Token { header, prefix, .. } => {
                token::check(header, prefix, keys, sent).map(|()| Check::Done)
            }
            Verification::Basic { username, .. } => basic::check(username, keys, sent).map(|()| Check::Done),
            Verification::ClientCertificate { header, allowed } => {
                client_certificate::check(header, allowed, sent).map(|()| Check::Done)
            }
        }
    }

    /// Opens the secrets of these names: the customer's own before the account's. Of two, one may be missing.
    pub(crate) fn keys(&self, secrets: Secrets<'_>, names: &SecretNames) -> Result<Vec<String>, Problem> {
        let mut keys = Vec::with_capacity(2);
        for name in names.names() {
            keys.extend(self.key(secrets, name)?);
        }
        if keys.is_empty() {
            observe::secret_unusable(self.name, names.names().first().map_or("", String::as_str), "it does not exist");
            return Err(self.refused(&Refusal::NoKey));
        }
        Ok(keys)
    }

    fn key(&self, secrets: Secrets<'_>, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.newest(secrets.catalog, name) else { return Ok(None) };
        (secrets.open)(at).map(Some).map_err(|reason| {
            observe::secret_unusable(self.name, name, &reason);
            let detail = "The signing secret cannot be opened now. Nothing was taken; send it again later.";
            retry_after(Problem::new(ErrorCode::ServiceUnavailable, detail), 60)
        })
    }

    /// The newest version of a secret.
    pub(crate) fn newest<'s>(&'s self, catalog: &'s Catalog, name: &'s str) -> Option<SecretAt<'s>> {
        let account = catalog.account(self.account)?;
        let owners = self.customer.map(Some).into_iter().chain([None]);
        owners.into_iter().find_map(|customer| {
            let secret = account.secrets.get(&(customer.cloned(), name.to_owned()))?;
            let (version, sealed) = secret.versions.last_key_value()?;
            Some(SecretAt { account: self.account, customer, name, version: *version, sealed })
        })
    }
}
