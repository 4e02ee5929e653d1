//! Runs one test on a platform of its own, whose clock stands still but for what the test says.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use fastn_domain::catalog::ENVIRONMENT_TEST;
use fastn_domain::time::parse_rfc3339;
use fastn_sdk::contract::activity::ExecutionView;
use fastn_sdk::contract::command::{Decision, PublishVersion, RunWorkflow, SendEvent};
use fastn_sdk::contract::resource::{EnvConfig, SecretWrite, TriggerSource, Verification};
use fastn_sdk::{CustomerClient, Error, ErrorKind, Fastn};
use serde_json::{Value, json};

use super::case::{AT_DEFAULT, Case, Event, ExpectCall, Then, Webhook};
use super::compare::{differences, short};
use crate::cli::{print, send};
use crate::project::Project;
use crate::testing::{Call, TestServer, duration_ms, pattern};

/// Stands in a workflow's place for a moment, to fill what it keeps for the customer.
const STATE_SOURCE: &str = "export default async (ctx) => {\
    for (const [key, value] of Object.entries(ctx.input)) await fastn.state.set(key, value);\
};";
/// Executions of one test that are looked at.
const EXECUTIONS_MAX: usize = 100;

/// Runs `case` of the project in `directory`, and tells what is not as expected.
///
/// # Errors
/// The test could not be run.
pub(crate) async fn run(directory: &Path, case: &Case, allow_network: bool) -> anyhow::Result<Vec<String>> {
    let at = case.at.as_deref().unwrap_or(AT_DEFAULT);
    let at = parse_rfc3339(at).with_context(|| format!("at {at:?} is no instant, e.g. {AT_DEFAULT}"))?;
    let mut builder = TestServer::builder().project(directory).frozen().at(at);
    if allow_network {
        builder = builder.allow_network();
    }
    let server = builder.start().await?;
    let customer = case.customer.clone().unwrap_or_else(|| server.customer().to_owned());
    let mut project = Project::read(directory)?;
    project.fill_for_tests(server.url())?;
    let fastn = server.client()?;
    let run = Running { case, project, of_customer: fastn.customer(&customer), fastn, server };
    let found = async {
        run.prepare().await?;
        let started = run.begin().await?;
        run.server.settle().await?;
        for then in &case.then {
            run.then(then, &started).await?;
        }
        run.compare(&started).await
    };
    let found = found.await;
    run.server.stop().await?;
    found
}

/// What the beginning of a test has started.
enum Started {
    /// This execution.
    Execution(String),
    /// What this event starts.
    Event(String),
}

struct Running<'c> {
    case: &'c Case,
    project: Project,
    fastn: Fastn,
    of_customer: CustomerClient,
    server: TestServer,
}

impl Running<'_> {
    async fn prepare(&self) -> anyhow::Result<()> {
        for (name, value) in &self.case.secrets {
            let secret = SecretWrite { name: name.clone(), value: value.clone(), customer: None };
            self.fastn.put_secret(&secret).await?;
        }
        let environment = self.environment();
        for (key, value) in &self.case.env_config {
            let config = EnvConfig { key: key.clone(), environment: environment.clone(), value: value.clone() };
            self.fastn.put_env_config(&config).await?;
        }
        let mut versions = HashMap::new();
        for (workflow, state) in &self.case.state {
            let file = self.project.workflows.iter().find(|file| file.id == *workflow);
            let file = file.with_context(|| format!("state names workflow {workflow}, which the project has not"))?;
            let version = |source: &str| PublishVersion { source: source.to_owned(), file: Some(file.file.clone()) };
            self.fastn.publish(workflow, &version(STATE_SOURCE)).await?;
            self.of_customer.run(workflow, json!(state)).await?;
            self.server.settle().await?;
            versions.insert(workflow, self.fastn.publish(workflow, &version(&file.source)).await?.version);
        }
        for environment in self.environments() {
            for file in &self.project.workflows {
                let version = versions.get(&file.id).copied().unwrap_or(1);
                self.fastn.deploy(&file.id, &environment, version).await?;
            }
        }
        self.server.set_mocks(self.case.all_mocks()?)?;
        Ok(())
    }

    /// Those beside `test` in which something of the test runs.
    fn environments(&self) -> BTreeSet<String> {
        let routes = self.project.triggers.iter().flat_map(|trigger| &trigger.routes);
        let all = routes.map(|route| route.environment.clone()).chain([self.environment()]);
        all.filter(|environment| environment != ENVIRONMENT_TEST).collect()
    }

    fn environment(&self) -> String {
        self.case.environment.clone().unwrap_or_else(|| ENVIRONMENT_TEST.to_owned())
    }

    async fn begin(&self) -> anyhow::Result<Started> {
        if let Some(workflow) = &self.case.workflow {
            let run = RunWorkflow { input: self.case.input()?, environment: Some(self.environment()) };
            return match self.of_customer.run_in(workflow, &run).await {
                Ok(answer) => Ok(Started::Execution(answer.execution_id)),
                // An Instant one that failed.
                Err(Error { execution_id: Some(id), .. }) => Ok(Started::Execution(id)),
                Err(error) => Err(error.into()),
            };
        }
        if let Some(event) = &self.case.event {
            return Ok(Started::Event(self.send(event).await?));
        }
        let webhook = self.case.webhook.as_ref().context("a test begins with something")?;
        Ok(Started::Event(self.send_webhook(webhook).await?))
    }

    async fn send(&self, event: &Event) -> anyhow::Result<String> {
        let Event { kind, id, subject, data } = event.clone();
        let event = SendEvent { id, kind, source: None, subject, time: None, priority: None, data };
        Ok(self.of_customer.send(&event).await?.event_id)
    }

    async fn send_webhook(&self, webhook: &Webhook) -> anyhow::Result<String> {
        let body = match (&webhook.body, &webhook.body_file) {
            (Some(Value::String(text)), None) => text.clone().into_bytes(),
            (Some(value), None) => value.to_string().into_bytes(),
            (None, Some(path)) => {
                let path = self.case.beside(path);
                std::fs::read(&path).with_context(|| format!("read {}", path.display()))?
            }
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => bail!("body and bodyFile are both given"),
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        if let Some(event) = &webhook.github_event {
            let secret = self.github_secret(&webhook.trigger)?;
            headers.push(("x-hub-signature-256".to_owned(), send::github_signature(&secret, &body)));
            headers.push(("x-github-event".to_owned(), event.clone()));
            headers.push(("x-github-delivery".to_owned(), send::delivery_id(&body)));
        }
        headers.extend(webhook.headers.clone());
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(self.of_customer.send_webhook(&webhook.trigger, &headers, body).await?.event_id)
    }

    /// What the trigger holds signatures against, as the test or the project says.
    fn github_secret(&self, trigger: &str) -> anyhow::Result<String> {
        let found = self.project.triggers.iter().find(|known| known.id == trigger);
        let found = found.with_context(|| format!("the project has no trigger {trigger}"))?;
        let TriggerSource::Webhook { verification: Verification::Github { secret }, .. } = &found.source else {
            bail!("trigger {trigger} does not verify as GitHub signs; give the headers that its sender would");
        };
        let name = secret.names().first().context("a trigger names a secret")?;
        let of_project = self.project.manifest.secrets.iter().find(|secret| secret.name == *name);
        let value = self.case.secrets.get(name).or(of_project.map(|secret| &secret.value));
        value.cloned().with_context(|| format!("neither the test nor the project has the secret {name}"))
    }

    async fn then(&self, then: &Then, started: &Started) -> anyhow::Result<()> {
        match then {
            Then::Advance(by) => {
                let ms = duration_ms(by).ok_or_else(|| anyhow!("advance {by:?} is no duration"))?;
                self.server.advance(Duration::from_millis(ms)).await?;
            }
            Then::Event(event) => {
                self.send(event).await?;
                self.server.settle().await?;
            }
            Then::Decide(decide) => {
                let id = match started {
                    Started::Execution(id) => id.clone(),
                    Started::Event(_) => self.the_one(&self.executions(started).await?)?.id.clone(),
                };
                let decision: Decision =
                    serde_json::from_value(json!({"step": decide.step, "approved": decide.approved}))?;
                self.of_customer.decide(&id, &decision).await?;
                self.server.settle().await?;
            }
        }
        Ok(())
    }

    async fn executions(&self, started: &Started) -> anyhow::Result<Vec<ExecutionView>> {
        match started {
            Started::Execution(id) => match self.of_customer.execution(id).await {
                Ok(view) => Ok(vec![view]),
                Err(error) if error.kind == ErrorKind::Answered && error.status == Some(404) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            },
            Started::Event(event) => {
                let found = self.fastn.executions().filter("eventId", Some(event)).take(EXECUTIONS_MAX).await?;
                let mut views = Vec::with_capacity(found.len());
                for view in found {
                    views.push(self.fastn.execution(&view.id).await?);
                }
                Ok(views)
            }
        }
    }

    fn the_one<'v>(&self, views: &'v [ExecutionView]) -> anyhow::Result<&'v ExecutionView> {
        let named =
            |view: &&ExecutionView| self.case.expect.workflow.as_ref().is_none_or(|name| *name == view.workflow);
        let mut fitting = views.iter().filter(named);
        match (fitting.next(), fitting.next()) {
            (Some(view), None) => Ok(view),
            (None, _) => bail!("no execution was started{}", of_workflow(self.case.expect.workflow.as_deref())),
            (Some(_), Some(_)) => bail!("several executions were started; say in expect.workflow which is meant"),
        }
    }

    async fn compare(&self, started: &Started) -> anyhow::Result<Vec<String>> {
        let expect = &self.case.expect;
        let mut problems = Vec::new();
        let calls = self.server.calls();
        for call in calls.iter().filter(|call| call.answered == "nothing") {
            problems.push(format!("a call that no mock answers\n  {} {}{}", call.method, call.url, call.body_line()));
        }
        let views = self.executions(started).await?;
        let count = views.len();
        if let Some(expected) = expect.executions.filter(|expected| *expected != count) {
            problems.push(format!("executions\n  expected  {expected}\n  got       {count}"));
        }
        if let Some(expected) = &expect.calls {
            compare_calls(expected, &calls, &mut problems);
        }
        if expect.executions == Some(0) {
            return Ok(problems);
        }
        match self.the_one(&views) {
            Ok(view) => self.compare_execution(view, &mut problems),
            Err(why) => problems.push(why.to_string()),
        }
        Ok(problems)
    }

    fn compare_execution(&self, view: &ExecutionView, problems: &mut Vec<String>) {
        let expect = &self.case.expect;
        let wanted = expect.status.as_deref().unwrap_or(if expect.error.is_some() { "failed" } else { "completed" });
        let status = print::word(&view.status);
        let error = view.error.as_ref().map(|error| format!("{}: {}", error.name, error.message)).unwrap_or_default();
        if wanted != status {
            let why = if error.is_empty() { String::new() } else { format!("\n  error     {error}") };
            problems.push(format!("status\n  expected  {wanted}\n  got       {status}{why}"));
        }
        if let Some(expected) = &expect.error
            && !error.contains(expected)
        {
            problems.push(format!(
                "error\n  expected  {expected}\n  got       {}",
                if error.is_empty() { "none" } else { &error }
            ));
        }
        let output = view.output.clone().unwrap_or_default();
        for (expected, exactly) in [(&expect.output, false), (&expect.output_exactly, true)] {
            if let Some(expected) = expected {
                differences("output", expected, &output, exactly, problems);
            }
        }
        let steps = view.steps.clone().unwrap_or_default();
        if let Some(expected) = &expect.steps {
            let names: Vec<&str> =
                steps.iter().filter(|step| step.kind == "step").map(|step| step.name.as_str()).collect();
            differences("steps", &json!(expected), &json!(names), true, problems);
        }
        if let Some(expected) = &expect.sleeps {
            let slept = steps.iter().filter(|step| step.kind == "sleep").map(|step| step.duration_ms);
            let (slept, wanted): (Vec<u64>, Vec<Option<u64>>) =
                (slept.collect(), expected.iter().map(|text| duration_ms(text)).collect());
            if slept.iter().copied().map(Some).collect::<Vec<_>>() != wanted {
                let slept: Vec<String> = slept.into_iter().map(|ms| format!("{ms}ms")).collect();
                problems.push(format!("sleeps\n  expected  {}\n  got       {}", expected.join(", "), slept.join(", ")));
            }
        }
    }
}

fn of_workflow(workflow: Option<&str>) -> String {
    workflow.map(|workflow| format!(" of workflow {workflow}")).unwrap_or_default()
}

fn compare_calls(expected: &[ExpectCall], calls: &[Call], problems: &mut Vec<String>) {
    for (index, pair) in
        (0..expected.len().max(calls.len())).map(|index| (index, (expected.get(index), calls.get(index))))
    {
        let at = format!("calls[{index}]");
        match pair {
            (Some(expected), Some(call)) => compare_call(&at, expected, call, problems),
            (Some(expected), None) => {
                let (method, url) =
                    (expected.method.as_deref().unwrap_or("*"), expected.url.as_deref().unwrap_or("**"));
                problems.push(format!("{at}\n  expected  {method} {url}\n  got       nothing"));
            }
            (None, Some(call)) => {
                problems.push(format!(
                    "{at}\n  expected  nothing\n  got       {} {}{}",
                    call.method,
                    call.url,
                    call.body_line()
                ));
            }
            (None, None) => {}
        }
    }
}

fn compare_call(at: &str, expected: &ExpectCall, call: &Call, problems: &mut Vec<String>) {
    if let Some(method) = expected.method.as_ref().filter(|method| !method.eq_ignore_ascii_case(&call.method)) {
        problems.push(format!("{at}.method\n  expected  {method}\n  got       {}", call.method));
    }
    if let Some(url) = expected.url.as_ref().filter(|url| !pattern::matches(url, &call.url)) {
        problems.push(format!("{at}.url\n  expected  {url}\n  got       {}", call.url));
    }
    if let Some(step) = expected.step.as_ref().filter(|step| Some(*step) != call.step.as_ref()) {
        problems.push(format!("{at}.step\n  expected  {step}\n  got       {}", call.step.as_deref().unwrap_or("none")));
    }
    for (name, value) in &expected.headers {
        let got = call.headers.get(&name.to_lowercase()).map_or(Value::Null, |value| json!(value));
        differences(&format!("{at}.headers.{name}"), &json!(value), &got, true, problems);
    }
    if let Some(body) = &expected.body {
        differences(&format!("{at}.body"), body, &call.body, false, problems);
    }
}

impl Call {
    fn body_line(&self) -> String {
        if self.body.is_null() { String::new() } else { format!("\n  body      {}", short(&self.body)) }
    }
}
