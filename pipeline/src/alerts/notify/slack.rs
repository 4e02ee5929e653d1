//! A message to an incoming webhook of Slack, or of what takes the same form (Mattermost, Rocket.Chat, Discord at `/slack`).

use fastn_store::SecretText;
use serde_json::json;

use super::super::notice::Notice;
use super::{Notifier, facts, headline};

pub(super) async fn send(notifier: &Notifier, secret: &SecretText, notice: &Notice) -> Result<(), String> {
    let body = json!({ "text": text(notice) }).to_string();
    let request = notifier.post(secret.expose().trim())?.header("content-type", "application/json").body(body);
    notifier.taken(request).await
}

fn text(notice: &Notice) -> String {
    let alert = &notice.body.data;
    let mut text = format!("*{}*", plain(&headline(&notice.body.kind, alert)));
    for (what, fact) in facts(alert) {
        text.push_str(&format!("\n{what}: {}", plain(&fact)));
    }
    if !notice.description.is_empty() {
        text.push_str(&format!("\n{}", plain(&notice.description)));
    }
    text
}

/// The three characters by which a text would mention people or link somewhere.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    /// Property: nothing of a rule's text becomes a mention or a link.
    #[test]
    fn texts_mention_nobody() {
        assert_eq!(super::plain("<!channel> & <http://x|y>"), "&lt;!channel&gt; &amp; &lt;http://x|y&gt;");
    }
}
