//! Fills the places of a request. What goes wrong is told without the value of any secret.

use fastn_contract::poll::PollRequest;
use fastn_domain::catalog::AccountCatalog;
use fastn_domain::template::{fill, fill_request};
use fastn_domain::{Scope, TriggerId};
use fastn_store::Vault;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::FetchRequest;

/// RFC 3986 section 2.3: what needs no escape anywhere in a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the places stand for.
pub(super) struct Places<'a> {
    pub(super) account: &'a AccountCatalog,
    pub(super) vault: &'a Vault,
    pub(super) scope: &'a Scope,
    pub(super) trigger: &'a TriggerId,
    pub(super) page: &'a str,
    pub(super) cursor: &'a str,
}

impl Places<'_> {
    /// The request for a page; for the page at `link` if there is one.
    pub(super) fn request(&self, template: &PollRequest, link: Option<&str>) -> Result<FetchRequest, String> {
        let url = match link {
            Some(link) => link.to_owned(),
            None => self.url(&template.url)?,
        };
        let (headers, body) = fill_request(&template.headers, template.body.as_ref(), &|name| self.value(name))?;
        Ok(FetchRequest { method: template.method.clone(), url, headers, body })
    }

    /// A parameter that is filled with nothing is left out: the first page has no place to go on from.
    fn url(&self, template: &str) -> Result<String, String> {
        let encoded = |part: &str| fill(part, |name| Ok(utf8_percent_encode(&self.value(name)?, ESCAPED).to_string()));
        let Some((base, query)) = template.split_once('?') else { return encoded(template) };
        let mut filled = encoded(base)?;
        let mut separator = '?';
        for parameter in query.split('&') {
            let text = encoded(parameter)?;
            let empty = text.split_once('=').is_none_or(|(_, value)| value.is_empty());
            if !(empty && parameter.contains("{{")) {
                filled.push(separator);
                filled.push_str(&text);
                separator = '&';
            }
        }
        Ok(filled)
    }

    fn value(&self, name: &str) -> Result<String, String> {
        match name {
            "page" => Ok(self.page.to_owned()),
            "cursor" => Ok(self.cursor.to_owned()),
            "customer" => Ok(self.scope.customer.to_string()),
            "trigger" => Ok(self.trigger.to_string()),
            other => match other.strip_prefix("secret.") {
                Some(secret) => self.secret(secret),
                None => Err(format!("there is nothing to fill in for {other}")),
            },
        }
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        let newest = self.account.newest_secret(Some(&self.scope.customer), name);
        let newest = newest.ok_or_else(|| format!("there is no secret {name}"))?;
        let opened = self.vault.open(&self.scope.account, newest.owner, name, newest.version, newest.sealed);
        opened.map(|text| text.expose().to_owned()).map_err(|_| format!("the secret {name} cannot be opened"))
    }
}

#[cfg(test)]
mod tests {
    use fastn_store::MasterKey;
    use serde_json::json;

    use super::*;

    /// Property: what is filled in cannot leave its place in a URL, an empty parameter is left out, and a secret that is not
    /// there is told by name.
    #[test]
    fn fills_a_request() {
        let master = MasterKey::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "a test").unwrap();
        let (account, vault) = (AccountCatalog::default(), Vault::new(&master));
        let (scope, trigger) = (Scope::parse("a", "c").unwrap(), TriggerId::new("t").unwrap());
        let mut places = Places {
            account: &account,
            vault: &vault,
            scope: &scope,
            trigger: &trigger,
            page: "a/b&c=d?#",
            cursor: "",
        };
        let template = |url: &str| PollRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: [("x-who".to_owned(), "{{customer}}/{{trigger}}".to_owned())].into(),
            body: Some(json!({"after": "{{page}}", "n": 1, "list": ["{{cursor}}"]})),
        };
        let request = places.request(&template("https://h/{{page}}?p={{page}}&since={{cursor}}&all"), None).unwrap();
        assert_eq!(request.url, "https://h/a%2Fb%26c%3Dd%3F%23?p=a%2Fb%26c%3Dd%3F%23&all");
        assert_eq!(request.headers[0].1, "c/t");
        assert_eq!(request.headers[1].1, "application/json");
        assert_eq!(request.body.unwrap(), r#"{"after":"a/b&c=d?#","list":[""],"n":1}"#);
        places.page = "";
        assert_eq!(places.request(&template("https://h/?p={{page}}"), None).unwrap().url, "https://h/");
        assert_eq!(places.request(&template("https://h/"), Some("https://h/2")).unwrap().url, "https://h/2");
        let refused = places.request(&template("https://h/?k={{secret.KEY}}"), None).err().unwrap();
        assert_eq!(refused, "there is no secret KEY");
    }
}
