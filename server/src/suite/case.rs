//! What a test file says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::testing::{Mock, duration_ms};

/// Where the clock of a test starts that does not say it: always the same, so that a test is the same tomorrow.
pub(crate) const AT_DEFAULT: &str = "2026-01-01T00:00:00Z";

/// One test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Case {
    /// What it holds; the file's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Runs this workflow with `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<String>,
    /// Or sends this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Event>,
    /// Or this webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<Webhook>,
    /// The workflow's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Value>,
    /// The same from a JSON file, relative to the test's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input_file: Option<PathBuf>,
    /// The customer; the project's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<String>,
    /// The environment; `test` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    /// Where the clock starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// Secrets, in place of the project's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<String, String>,
    /// Configuration of the environment, in place of the project's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env_config: BTreeMap<String, Value>,
    /// What workflows keep for the customer in `fastn.state`, by workflow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) state: BTreeMap<String, BTreeMap<String, Value>>,
    /// What the outside answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mocks: Vec<Mock>,
    /// The same from a file, after those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<PathBuf>,
    /// What happens then, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) then: Vec<Then>,
    /// What must have come of it.
    pub(crate) expect: Expect,
    /// The test's file.
    #[serde(skip)]
    pub(crate) file: PathBuf,
}

/// An event that is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Event {
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// Its payload.
    #[serde(default)]
    pub(crate) data: Value,
}

/// A webhook that is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Webhook {
    /// The trigger.
    pub(crate) trigger: String,
    /// GitHub's name of the event; makes the headers that GitHub sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) github_event: Option<String>,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// The same from a file, byte for byte, relative to the test's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_file: Option<PathBuf>,
}

/// What happens after the beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Then {
    /// So much time passes, e.g. `25h`.
    Advance(String),
    /// This event comes.
    Event(Event),
    /// Somebody decides an approval.
    Decide(Decide),
}

/// The answer to an approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Decide {
    /// The approval's name.
    pub(crate) step: String,
    /// Yes or no.
    pub(crate) approved: bool,
}

/// What is expected. What is not named may be anything, but for calls that no mock answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Expect {
    /// How many executions were started; one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) executions: Option<usize>,
    /// The workflow whose execution the rest is about, where several were started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<String>,
    /// Its status: `completed` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Its output: of an object only the fields named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    /// Its output, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output_exactly: Option<Value>,
    /// What its error says, or a part of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// All calls to the outside, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) calls: Option<Vec<ExpectCall>>,
    /// The names of its steps, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<String>>,
    /// How long it slept, each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sleeps: Option<Vec<String>>,
}

/// A call that is expected.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExpectCall {
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// The URL, or a pattern like that of a mock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Headers that it has, among others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body: of an object only the fields named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// The step in which it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
}

impl Case {
    /// What a person knows it by.
    pub(crate) fn title(&self) -> String {
        let of_file = || self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.name.clone().or_else(of_file).unwrap_or_default()
    }

    /// A file that the test names, as it lies beside it.
    pub(crate) fn beside(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new(".")).join(path)
    }

    /// The input, wherever it stands.
    pub(crate) fn input(&self) -> anyhow::Result<Value> {
        match (&self.input, &self.input_file) {
            (Some(input), None) => Ok(input.clone()),
            (None, Some(path)) => json_of(&self.beside(path)),
            (None, None) => Ok(Value::Object(Default::default())),
            (Some(_), Some(_)) => bail!("input and inputFile are both given"),
        }
    }

    /// All mocks, with those of a file.
    pub(crate) fn all_mocks(&self) -> anyhow::Result<Vec<Mock>> {
        let mut mocks = self.mocks.clone();
        if let Some(path) = &self.recorded {
            let path = self.beside(path);
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let recorded: Vec<Mock> =
                serde_saphyr::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
            mocks.extend(recorded);
        }
        Ok(mocks)
    }

    fn check(&self) -> anyhow::Result<()> {
        let begins = [self.workflow.is_some(), self.event.is_some(), self.webhook.is_some()];
        if begins.iter().filter(|begins| **begins).count() != 1 {
            bail!("a test begins with one of workflow, event and webhook");
        }
        if self.workflow.is_none() && (self.input.is_some() || self.input_file.is_some()) {
            bail!("input goes with workflow; an event has data, and a webhook a body");
        }
        for then in &self.then {
            if let Then::Advance(by) = then
                && duration_ms(by).is_none()
            {
                bail!("advance {by:?} is no duration, e.g. 90s, 25h, 7d");
            }
        }
        Ok(())
    }
}

/// The tests of a folder's `tests/`, by file and in their order.
///
/// # Errors
/// A file that does not read, with its position.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Vec<Case>> {
    let folder = directory.join("tests");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.is_file() && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let read = parse(&text).with_context(|| file.display().to_string())?;
        cases.extend(read.into_iter().map(|case| Case { file: file.clone(), ..case }));
    }
    Ok(cases)
}

/// One test, or a list of them.
fn parse(text: &str) -> anyhow::Result<Vec<Case>> {
    let said = |error: serde_saphyr::Error| anyhow!("{error}");
    // Read by what it is, so that an error names the place and not that neither form fits.
    let is_list = serde_saphyr::from_str::<Value>(text).map_err(said)?.is_array();
    let cases: Vec<Case> = match is_list {
        true => serde_saphyr::from_str(text).map_err(said)?,
        false => vec![serde_saphyr::from_str(text).map_err(said)?],
    };
    for case in &cases {
        case.check().with_context(|| case.name.clone().unwrap_or_else(|| "the test".to_owned()))?;
    }
    Ok(cases)
}

/// A JSON file.
pub(crate) fn json_of(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a file holds one test or several; what is misspelt or missing is refused with what it is.
    #[test]
    fn files_are_read() {
        let one = "workflow: a\ninput: {n: 1}\nthen: [{advance: 25h}]\nexpect: {output: {n: 1}}\n";
        assert_eq!(parse(one).unwrap().len(), 1);
        let two = "- name: x\n  event: {type: t}\n  expect: {executions: 0}\n- {workflow: b, expect: {}}\n";
        assert_eq!(parse(two).unwrap()[0].title(), "x");
        for (bad, why) in [
            ("workflow: a\nexpected: {}\n", "expected"),
            ("expect: {}\n", "begins with one of"),
            ("workflow: a\nthen: [{advance: soon}]\nexpect: {}\n", "soon"),
            ("event: {type: t}\ninput: 1\nexpect: {}\n", "input goes with workflow"),
        ] {
            let error = format!("{:#}", parse(bad).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
