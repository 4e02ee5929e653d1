//! How the sender of a webhook proves itself: one variant for each scheme. A handshake that a provider asks for comes
//! with its scheme.

use serde::{Deserialize, Serialize};

/// Seconds that a signed timestamp may be away from now when nothing says otherwise.
pub const TOLERANCE_SECONDS_DEFAULT: u32 = 5 * 60;

/// The name of a secret; two names while a key is being changed: either key is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum SecretNames {
    /// One secret.
    One(String),
    /// Two secrets, the older and the newer in either order.
    Two([String; 2]),
}

impl SecretNames {
    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Two(names) => names,
        }
    }
}

/// How a webhook's sender proves itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "scheme", deny_unknown_fields)]
pub enum Verification {
    /// With an access key of the account in `x-fastn-access-key`.
    #[default]
    AccessKey,
    /// Not at all: anybody may send.
    Public,
    /// GitHub: `X-Hub-Signature-256`, HMAC-SHA-256 of the body.
    Github {
        /// The webhook's secret.
        secret: SecretNames,
    },
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature` (v1).
    #[serde(rename_all = "camelCase")]
    StandardWebhooks {
        /// The `whsec_…` key.
        secret: SecretNames,
        /// Seconds that the timestamp may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Svix: Standard Webhooks under the names `svix-id`, `svix-timestamp`, `svix-signature`, or the standard ones.
    #[serde(rename_all = "camelCase")]
    Svix {
        /// The `whsec_…` key.
        secret: SecretNames,
        /// Seconds that the timestamp may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Stripe: `Stripe-Signature`.
    #[serde(rename_all = "camelCase")]
    Stripe {
        /// The endpoint's `whsec_…` secret.
        secret: SecretNames,
        /// Seconds that the timestamp may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Slack: `X-Slack-Signature` and `X-Slack-Request-Timestamp`. A signed `url_verification` is answered with its
    /// challenge.
    #[serde(rename_all = "camelCase")]
    Slack {
        /// The app's signing secret.
        secret: SecretNames,
        /// Seconds that the timestamp may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Shopify: `X-Shopify-Hmac-Sha256`.
    Shopify {
        /// The app's client secret.
        secret: SecretNames,
    },
    /// HubSpot: `X-HubSpot-Signature` (v1 and v2) or `X-HubSpot-Signature-v3`.
    #[serde(rename_all = "camelCase")]
    Hubspot {
        /// Which of HubSpot's three signatures is asked for.
        #[serde(default)]
        version: HubspotVersion,
        /// The app's client secret.
        secret: SecretNames,
        /// The webhook's URL as HubSpot has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
        /// `X-Forwarded-Host` or `Host`, and the path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// Seconds that the timestamp of v3 may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Twilio: `X-Twilio-Signature` over the URL and the form's fields, or the URL with the body's SHA-256 in it.
    Twilio {
        /// The account's auth token.
        secret: SecretNames,
        /// The webhook's URL as Twilio has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
        /// `X-Forwarded-Host` or `Host`, and the path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Linear: `Linear-Signature`, and `webhookTimestamp` in the body.
    #[serde(rename_all = "camelCase")]
    Linear {
        /// The webhook's signing secret.
        secret: SecretNames,
        /// Seconds that the timestamp may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Zendesk: `X-Zendesk-Webhook-Signature` and `X-Zendesk-Webhook-Signature-Timestamp`.
    #[serde(rename_all = "camelCase")]
    Zendesk {
        /// The webhook's signing secret.
        secret: SecretNames,
        /// Seconds that the timestamp may be away from now; 300 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance_seconds: Option<u32>,
    },
    /// Meta (Facebook, Instagram, WhatsApp): `X-Hub-Signature-256`. `GET ?hub.challenge` with the right
    /// `hub.verify_token` is answered with the challenge.
    #[serde(rename_all = "camelCase")]
    Meta {
        /// The app's secret.
        secret: SecretNames,
        /// The verify token that was given to Meta.
        verify_token: SecretNames,
    },
    /// Dropbox: `X-Dropbox-Signature`. `GET ?challenge` is answered with the challenge.
    Dropbox {
        /// The app's secret.
        secret: SecretNames,
    },
    /// Notion: `X-Notion-Signature`. The token that Notion posts first is stored as the secret, if there is none yet.
    Notion {
        /// Where the verification token is kept.
        secret: SecretNames,
    },
    /// Microsoft Graph: the `clientState` of every notification. `POST ?validationToken` is answered with the token.
    #[serde(rename_all = "camelCase")]
    MicrosoftGraph {
        /// The `clientState` that the subscription was made with.
        client_state: SecretNames,
    },
    /// An HMAC that is put together here.
    Hmac(HmacScheme),
    /// A shared token in a header.
    Token {
        /// The header, e.g. `X-Gitlab-Token`.
        header: String,
        /// What stands before the token, e.g. `Bearer ` with its space.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
        /// The token.
        secret: SecretNames,
    },
    /// HTTP Basic.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        secret: SecretNames,
    },
    /// A client certificate (mTLS), checked by the proxy that ends TLS, which tells it in a header. Only for a server that
    /// is reached through that proxy alone, and a proxy that removes the header from what clients send.
    ClientCertificate {
        /// The header that the proxy sets, e.g. `X-Client-Cert-Sha256` or `X-Client-Cert-Subject`.
        header: String,
        /// Fingerprints (hex, with or without colons) or subjects, any one of which is good.
        allowed: Vec<String>,
    },
}

/// A handshake: the sender asks whether the URL waits for it by a challenge, which is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    /// Where the challenge stands.
    #[serde(rename = "in")]
    pub place: ChallengeIn,
    /// The parameter of the query, or the path in the body, e.g. `challenge` or `data.token`.
    pub field: String,
    /// Only a request for which this holds too is a handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ChallengeWhen>,
    /// How it is given back.
    #[serde(default)]
    pub answer: ChallengeAnswer,
    /// The field of a JSON answer; `challenge` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_field: Option<String>,
}

/// Where a challenge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChallengeIn {
    /// In the query of a GET or a POST, which need not be signed.
    Query,
    /// In the JSON body of a POST that has proven itself.
    Body,
}

/// What else a handshake has, in the same place as the challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChallengeWhen {
    /// The parameter of the query, or the path in the body, e.g. `type`.
    pub field: String,
    /// The text that stands there, e.g. `url_verification`.
    pub value: String,
}

/// How a challenge is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChallengeAnswer {
    /// As plain text.
    #[default]
    Text,
    /// As an object with one field.
    Json,
}

/// Which of HubSpot's three signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HubspotVersion {
    /// SHA-256 of secret and body.
    V1,
    /// SHA-256 of secret, method, URL and body.
    V2,
    /// HMAC-SHA-256 of method, URL, body and timestamp.
    #[default]
    V3,
}

/// An HMAC scheme of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacScheme {
    /// The key, used as text.
    pub secret: SecretNames,
    /// The header of the signature.
    pub header: String,
    /// What stands before the signature, e.g. `sha256=`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// The hash.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
    /// What is signed: text with `{body}` once, and `{timestamp}`, `{id}`, `{method}` and `{url}` as needed.
    #[serde(default = "payload_default")]
    pub payload: String,
    /// The header of the timestamp: Unix seconds, Unix milliseconds or RFC 3339. It must be part of `payload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// Seconds that the timestamp may be away from now; 300 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_seconds: Option<u32>,
    /// The header of the delivery's id, by which a repeat is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
}

fn payload_default() -> String {
    "{body}".to_owned()
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Hexadecimal digits of either case.
    #[default]
    Hex,
    /// Base 64 of the standard or the URL alphabet, with or without padding.
    Base64,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HmacAlgorithm {
    /// SHA-1, for senders that have nothing better.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Verification {
    /// The scheme's name, the same set for ever: it is a label of metrics.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::AccessKey => "access_key",
            Self::Public => "public",
            Self::Github { .. } => "github",
            Self::StandardWebhooks { .. } => "standard_webhooks",
            Self::Svix { .. } => "svix",
            Self::Stripe { .. } => "stripe",
            Self::Slack { .. } => "slack",
            Self::Shopify { .. } => "shopify",
            Self::Hubspot { .. } => "hubspot",
            Self::Twilio { .. } => "twilio",
            Self::Linear { .. } => "linear",
            Self::Zendesk { .. } => "zendesk",
            Self::Meta { .. } => "meta",
            Self::Dropbox { .. } => "dropbox",
            Self::Notion { .. } => "notion",
            Self::MicrosoftGraph { .. } => "microsoft_graph",
            Self::Hmac(_) => "hmac",
            Self::Token { .. } => "token",
            Self::Basic { .. } => "basic",
            Self::ClientCertificate { .. } => "client_certificate",
        }
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> Vec<&SecretNames> {
        match self {
            Self::AccessKey | Self::Public | Self::ClientCertificate { .. } => Vec::new(),
            Self::Github { secret }
            | Self::StandardWebhooks { secret, .. }
            | Self::Svix { secret, .. }
            | Self::Stripe { secret, .. }
            | Self::Slack { secret, .. }
            | Self::Shopify { secret }
            | Self::Hubspot { secret, .. }
            | Self::Twilio { secret, .. }
            | Self::Linear { secret, .. }
            | Self::Zendesk { secret, .. }
            | Self::Dropbox { secret }
            | Self::Notion { secret }
            | Self::MicrosoftGraph { client_state: secret }
            | Self::Hmac(HmacScheme { secret, .. })
            | Self::Token { secret, .. }
            | Self::Basic { secret, .. } => vec![secret],
            Self::Meta { secret, verify_token } => vec![secret, verify_token],
        }
    }

    /// The tolerance that was asked for, where the scheme has a timestamp.
    pub fn tolerance_seconds(&self) -> Option<u32> {
        match self {
            Self::StandardWebhooks { tolerance_seconds, .. }
            | Self::Svix { tolerance_seconds, .. }
            | Self::Stripe { tolerance_seconds, .. }
            | Self::Slack { tolerance_seconds, .. }
            | Self::Hubspot { tolerance_seconds, .. }
            | Self::Linear { tolerance_seconds, .. }
            | Self::Zendesk { tolerance_seconds, .. }
            | Self::Hmac(HmacScheme { tolerance_seconds, .. }) => *tolerance_seconds,
            _ => None,
        }
    }
}
