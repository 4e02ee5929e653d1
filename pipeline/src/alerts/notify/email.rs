//! A mail over SMTP. The server is asked for by its address, after the address was looked at; its certificate is held against
//! its name.

use fastn_store::SecretText;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use percent_encoding::percent_decode_str;
use url::Url;

use super::super::notice::Notice;
use super::{ATTEMPT_MAX, Notifier, facts, headline, took};
use crate::processor::intercept::{CallBy, OutsideCall};

/// An SMTP server as its URL names it.
struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encryption {
    /// From the first byte.
    Wrapped,
    /// After `STARTTLS`, without which nothing is said.
    StartTls,
    /// None, as asked for.
    None,
}

pub(super) async fn send(
    notifier: &Notifier,
    to: &[String],
    from: &str,
    secret: &SecretText,
    notice: &Notice,
) -> Result<(), String> {
    let server = Server::parse(secret.expose().trim()).ok_or("the secret is no URL of an SMTP server")?;
    let message = message(to, from, notice)?;
    let call = || OutsideCall {
        by: CallBy::Alert,
        method: "SMTP".to_owned(),
        url: format!("smtp://{}:{}", server.host, server.port),
        headers: Vec::new(),
        body: Some(message.formatted()),
        timeout_ms: ATTEMPT_MAX.as_millis() as u64,
    };
    if let Some(status) = notifier.instead(call).await? {
        return took(status);
    }
    let addresses = notifier.addresses(&server.host).await?;
    let address = addresses.first().ok_or_else(|| format!("{} has no address", server.host))?;
    let tls = || TlsParameters::new(server.host.clone()).map_err(|_| "TLS can't be set up".to_owned());
    let tls = match server.encryption {
        Encryption::Wrapped => Tls::Wrapper(tls()?),
        Encryption::StartTls => Tls::Required(tls()?),
        Encryption::None => Tls::None,
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string())
        .port(server.port)
        .tls(tls)
        .timeout(Some(ATTEMPT_MAX))
        .hello_name(ClientId::Domain("fastn".to_owned()));
    if let Some((user, password)) = server.credentials {
        transport = transport.credentials(Credentials::new(user, password));
    }
    let sent = transport.build().send(message).await;
    sent.map(drop).map_err(|error| match error.status() {
        Some(status) => format!("the mail server answered {status}"),
        None if error.is_tls() => "the mail server's TLS is not as it must be".to_owned(),
        None => "the mail server can't be reached".to_owned(),
    })
}

impl Server {
    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let (encryption, port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (Encryption::Wrapped, 465),
            ("smtp", None) => (Encryption::StartTls, 587),
            ("smtp", Some("tls=none")) => (Encryption::None, 25),
            _ => return None,
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let credentials = match url.password() {
            Some(password) => Some((decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        Some(Self { host, port: url.port().unwrap_or(port), encryption, credentials })
    }
}

fn message(to: &[String], from: &str, notice: &Notice) -> Result<Message, String> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| format!("{text:?} is no mail address"));
    let alert = &notice.body.data;
    let mut message = Message::builder()
        .from(mailbox(from)?)
        .subject(headline(&notice.body.kind, alert))
        // The same in every attempt, so that a mail server may know a second copy.
        .message_id(Some(format!("<{}@fastn>", notice.id)));
    for address in to {
        message = message.to(mailbox(address)?);
    }
    let mut plain = format!("{}\n\n", headline(&notice.body.kind, alert));
    let mut rich = String::new();
    for (what, fact) in facts(alert) {
        plain.push_str(&format!("{what}: {fact}\n"));
        rich.push_str(&format!("<tr><td>{what}</td><td>{}</td></tr>", escaped(&fact)));
    }
    if !notice.description.is_empty() {
        plain.push_str(&format!("\n{}\n", notice.description));
    }
    let rich = format!(
        "<h2>{}</h2><table>{rich}</table><p>{}</p>",
        escaped(&headline(&notice.body.kind, alert)),
        escaped(&notice.description)
    );
    let parts = MultiPart::alternative_plain_html(plain, rich);
    message.multipart(parts).map_err(|_| "the mail can't be put together".to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a server is read with its port, its encryption and its credentials, and nothing is sent in the clear
    /// unless the URL says so.
    #[test]
    fn servers_are_read() {
        let read = |text: &str| {
            Server::parse(text).map(|server| (server.host, server.port, server.encryption, server.credentials))
        };
        let user = Some(("a@b".to_owned(), "p:w".to_owned()));
        assert_eq!(
            read("smtps://a%40b:p%3Aw@mail.example"),
            Some(("mail.example".to_owned(), 465, Encryption::Wrapped, user))
        );
        assert_eq!(read("smtp://[::1]:2525"), Some(("::1".to_owned(), 2525, Encryption::StartTls, None)));
        assert_eq!(read("smtp://h?tls=none"), Some(("h".to_owned(), 25, Encryption::None, None)));
        for bad in ["", "mail.example", "http://h", "smtp://h?tls=maybe", "smtps://"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
