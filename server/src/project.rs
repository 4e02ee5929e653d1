//! A project: an integration as files, applied through the API as anybody else would.
//!
//! ```text
//!   fastn.yaml                account, plan, customers and their tiers, secrets for development, environment configuration
//!   workflows/<id>.ts         code
//!   workflows/<id>.yaml       settings, where the defaults do not do
//!   apps/<any>.yaml           one connector app a file
//!   triggers/<any>.yaml       one trigger a file
//!   alerts/<any>.yaml         one alert rule a file
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use fastn_sdk::Fastn;
use fastn_sdk::contract::alert::AlertRule;
use fastn_sdk::contract::command::PublishVersion;
use fastn_sdk::contract::quota::{CustomerTier, Plan, QuotaSettings};
use fastn_sdk::contract::resource::{App, Customer, EnvConfig, SecretWrite, Trigger, Workflow};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `fastn.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The account of the development mode.
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// Customers.
    #[serde(default)]
    pub(crate) customers: Vec<Customer>,
    /// Secrets; only for development, since they stand in a file.
    #[serde(default)]
    pub(crate) secrets: Vec<SecretWrite>,
    /// Configuration values.
    #[serde(default)]
    pub(crate) env_config: Vec<EnvConfig>,
    /// Plans of quotas.
    #[serde(default)]
    pub(crate) plans: Vec<Plan>,
    /// Tiers of customers.
    #[serde(default)]
    pub(crate) customer_tiers: Vec<CustomerTier>,
    /// The plan that the account has.
    #[serde(default)]
    pub(crate) plan: Option<String>,
}

/// A workflow of the project.
#[derive(Debug)]
pub(crate) struct WorkflowFile {
    /// Its id: the file's name.
    pub(crate) id: String,
    /// Settings, if a file has them.
    pub(crate) settings: Option<Workflow>,
    /// The code.
    pub(crate) source: String,
    /// The file as errors name it, relative to the project.
    pub(crate) file: String,
}

/// Everything in the folder.
#[derive(Debug, Default)]
pub(crate) struct Project {
    /// See [`Manifest`].
    pub(crate) manifest: Manifest,
    /// By id.
    pub(crate) workflows: Vec<WorkflowFile>,
    /// By file.
    pub(crate) apps: Vec<App>,
    /// By file.
    pub(crate) triggers: Vec<Trigger>,
    /// By file.
    pub(crate) alerts: Vec<AlertRule>,
}

impl Project {
    /// Reads `directory`.
    ///
    /// # Errors
    /// Every file that does not read, with its position.
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        let manifest = directory.join("fastn.yaml");
        let manifest = if manifest.is_file() {
            yaml(&manifest)?
        } else if directory.is_dir() {
            Manifest::default()
        } else {
            bail!("there is no directory {}", directory.display());
        };
        let mut project = Self { manifest, ..Self::default() };
        for path in files(&directory.join("workflows"), &["ts", "js"])? {
            let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let settings = path.with_extension("yaml");
            let settings: Option<Workflow> = settings.is_file().then(|| yaml(&settings)).transpose()?;
            if settings.as_ref().is_some_and(|settings| settings.id != id) {
                bail!("{}: id must be {id:?}, the name of the file", path.with_extension("yaml").display());
            }
            let source = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let file = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            project.workflows.push(WorkflowFile { id, settings, source, file });
        }
        for path in files(&directory.join("apps"), &["yaml", "yml"])? {
            project.apps.push(yaml(&path)?);
        }
        for path in files(&directory.join("triggers"), &["yaml", "yml"])? {
            let trigger: Trigger = yaml(&path)?;
            if trigger.id.is_empty() {
                bail!("{}: id is missing; applied twice, it would be two triggers", path.display());
            }
            project.triggers.push(trigger);
        }
        for path in files(&directory.join("alerts"), &["yaml", "yml"])? {
            project.alerts.push(yaml(&path)?);
        }
        Ok(project)
    }
}

/// The variable that `fastn dev` sets to its own URL.
const DEV_URL: &str = "FASTN_DEV_URL";

impl Project {
    /// How many parts are applied.
    pub(crate) fn parts(&self) -> usize {
        let Manifest { customers, secrets, env_config, plans, customer_tiers, plan, .. } = &self.manifest;
        let quotas = plans.len() + customer_tiers.len() + usize::from(plan.is_some());
        let configured = customers.len() + secrets.len() + env_config.len();
        let code = self.workflows.len() + self.apps.len() + self.triggers.len() + self.alerts.len();
        quotas + configured + code
    }

    /// Puts variables of the environment where `${NAME}` stands in secrets and configuration values; `dev_url` is the
    /// one of the development server.
    ///
    /// # Errors
    /// A variable that is not set, with the place that asks for it.
    pub(crate) fn fill(&mut self, dev_url: Option<&str>) -> anyhow::Result<()> {
        let variable = |name: &str| match dev_url {
            Some(url) if name == DEV_URL => Some(url.trim_end_matches('/').to_owned()),
            _ => std::env::var(name).ok(),
        };
        self.fill_by(&variable)
    }

    /// Fills them for tests, which need no real secret: where a variable is not set stands `test-NAME`.
    ///
    /// # Errors
    /// A `${` without its end.
    pub(crate) fn fill_for_tests(&mut self, url: &str) -> anyhow::Result<()> {
        self.fill_by(&|name| match name {
            DEV_URL => Some(url.to_owned()),
            _ => Some(std::env::var(name).unwrap_or_else(|_| format!("test-{name}"))),
        })
    }

    fn fill_by(&mut self, variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
        for secret in &mut self.manifest.secrets {
            secret.value = filled(&secret.value, variable).with_context(|| format!("secret {}", secret.name))?;
        }
        for config in &mut self.manifest.env_config {
            if let serde_json::Value::String(text) = &mut config.value {
                let place = || format!("configuration {}/{}", config.environment, config.key);
                *text = filled(text, variable).with_context(place)?;
            }
        }
        Ok(())
    }
}

/// `text` with each `${NAME}` replaced; `$${` stands for `${` itself.
fn filled(text: &str, variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (name, tail) = after.split_once('}').context("a ${ without its }")?;
        out.push_str(&variable(name).with_context(|| format!("the variable {name} is not set"))?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// What one application did: lines for people.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// What was done.
    pub(crate) done: Vec<String>,
    /// What was refused, and why.
    pub(crate) refused: Vec<String>,
}

/// Applies `project` to the server, and calls `step` after each of its parts. Goes on after a refusal, so that one wrong
/// file does not hold back the others.
pub(crate) async fn apply(fastn: &Fastn, project: &Project, step: impl Fn()) -> Applied {
    let mut applied = Applied::default();
    // Customers name tiers, and the account names a plan.
    for plan in &project.manifest.plans {
        applied.note(format!("plan {}", plan.id), fastn.put_plan(plan).await);
        step();
    }
    for tier in &project.manifest.customer_tiers {
        applied.note(format!("customer tier {}", tier.id), fastn.put_customer_tier(tier).await);
        step();
    }
    if let Some(plan) = &project.manifest.plan {
        let settings = QuotaSettings { plan: plan.clone() };
        applied.note(format!("the account's plan {plan}"), fastn.put_quota_settings(&settings).await);
        step();
    }
    for customer in &project.manifest.customers {
        applied.note(format!("customer {}", customer.id), fastn.put_customer(customer).await);
        step();
    }
    for secret in &project.manifest.secrets {
        applied.note(format!("secret {}", secret.name), fastn.put_secret(secret).await);
        step();
    }
    for config in &project.manifest.env_config {
        applied
            .note(format!("configuration {}/{}", config.environment, config.key), fastn.put_env_config(config).await);
        step();
    }
    for workflow in &project.workflows {
        if let Some(settings) = &workflow.settings {
            applied.note(format!("workflow {}", workflow.id), fastn.put_workflow(settings).await);
        }
        let version = PublishVersion { source: workflow.source.clone(), file: Some(workflow.file.clone()) };
        match fastn.publish(&workflow.id, &version).await {
            Ok(version) => applied.done.push(format!("workflow {}@{}", workflow.id, version.version)),
            Err(error) => applied.refused.push(error.detail),
        }
        step();
    }
    for app in &project.apps {
        applied.note(format!("app {}", app.id), fastn.put_app(app).await);
        step();
    }
    for trigger in &project.triggers {
        applied.note(format!("trigger {}", trigger.id), fastn.put_trigger(trigger).await);
        step();
    }
    for rule in &project.alerts {
        applied.note(format!("alert rule {}", rule.id), fastn.put_alert_rule(rule).await);
        step();
    }
    applied
}

impl Applied {
    fn note<T>(&mut self, what: String, result: Result<T, fastn_sdk::Error>) {
        match result {
            Ok(_) => self.done.push(what),
            Err(error) => self.refused.push(format!("{what}: {}", error.detail)),
        }
    }
}

/// What an editor needs to complete and check workflows: the declarations of the runtime, and a `tsconfig.json` that
/// names them, unless the project has one.
pub(crate) fn write_types(directory: &Path) -> anyhow::Result<()> {
    const TSCONFIG: &str = include_str!("project/tsconfig.json");
    let types = directory.join(".fastn/types");
    std::fs::create_dir_all(&types).with_context(|| format!("make {}", types.display()))?;
    let declarations = types.join("fastn.d.ts");
    std::fs::write(&declarations, fastn_pipeline::runtime::TYPES)
        .with_context(|| format!("write {}", declarations.display()))?;
    let config = directory.join("tsconfig.json");
    if !config.exists() {
        std::fs::write(&config, TSCONFIG).with_context(|| format!("write {}", config.display()))?;
    }
    Ok(())
}

/// The files of a project and their times of change.
pub(crate) type Stamps = BTreeMap<PathBuf, SystemTime>;

/// When each file of the project was last changed.
pub(crate) fn stamps(directory: &Path) -> Stamps {
    let mut stamps = Stamps::new();
    let mut look = |path: PathBuf| {
        if let Ok(changed) = path.metadata().and_then(|data| data.modified()) {
            stamps.insert(path, changed);
        }
    };
    look(directory.join("fastn.yaml"));
    for folder in ["workflows", "apps", "triggers", "alerts"] {
        let endings: &[&str] = if folder == "workflows" { &["ts", "js", "yaml"] } else { &["yaml", "yml"] };
        files(&directory.join(folder), endings).unwrap_or_default().into_iter().for_each(&mut look);
    }
    stamps
}

fn files(directory: &Path, endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with(".d.ts"))
        .filter(|path| path.extension().and_then(|ending| ending.to_str()).is_some_and(|e| endings.contains(&e)))
        .collect();
    files.sort();
    Ok(files)
}

fn yaml<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_saphyr::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: each variable is put in once, an escaped one stays, and one that is not set is named.
    #[test]
    fn variables_are_filled() {
        let variable = |name: &str| (name == "URL").then(|| "http://${x}".to_owned());
        assert_eq!(filled("a ${URL}/b $${URL} $", &variable).unwrap(), "a http://${x}/b ${URL} $");
        assert!(filled("${NONE}", &variable).unwrap_err().to_string().contains("NONE"));
        assert!(filled("${URL", &variable).is_err());
    }

    /// Property: a project is read whole, and an unknown key is refused with its file and position.
    #[test]
    fn reads_a_project_and_refuses_unknown_keys() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("fastn.yaml", "account: acc_x\ncustomers:\n  - id: cus_a\n");
        write("workflows/a.ts", "export default async () => 1");
        write("triggers/t.yaml", "id: t\nsource:\n  type: webhook\nroutes:\n  - workflow: a\n");
        let project = Project::read(directory.path()).unwrap();
        assert_eq!((project.workflows[0].id.as_str(), project.triggers[0].id.as_str()), ("a", "t"));
        assert_eq!(project.workflows[0].file, "workflows/a.ts");
        write("fastn.yaml", "account: acc_x\ncustomesr: []\n");
        let error = Project::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("fastn.yaml") && error.contains("customesr") && error.contains('2'), "{error}");
    }
}
