//! `fastn dev`: one process on a project's folder, which it watches, and whose executions it shows live.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use fastn_sdk::contract::resource::{Customer, CustomerStatus};
use fastn_sdk::{Fastn, FileConfig};

use crate::cli::style::Style;
use crate::config::{Layer, ServeConfig};
use crate::project::{self, Applied, Project};
use crate::wiring::{Node, write_private};

mod inbox;
mod terminal;

/// How often the project's files are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// The account when the project names none.
const ACCOUNT_DEFAULT: &str = "acc_demo";
/// The customer when the project names none.
const CUSTOMER_DEFAULT: &str = "cus_demo";

/// Runs until the process is asked to stop.
pub(crate) async fn run(directory: PathBuf, mut flags: Layer) -> anyhow::Result<()> {
    let style = Style::detect();
    // Before it is read, so that no change in between goes unseen.
    let known = project::stamps(&directory);
    let mut project = Project::read(&directory)?;
    if project.manifest.customers.is_empty() {
        project.manifest.customers.push(demo_customer());
    }
    let data = flags.data.take().unwrap_or_else(|| directory.join(".fastn"));
    flags.data = Some(data.clone());
    flags.account = flags.account.or(project.manifest.account.clone()).or(Some(ACCOUNT_DEFAULT.to_owned()));
    let config = ServeConfig::of(flags, None, true)?;
    crate::cli::tracing_for(&config)?;

    let node = Node::start(&config, inbox::router()).await?;
    let key = node.access_key.clone().context("a development node makes a key")?;
    let url = format!("http://{}", node.address);
    let file = FileConfig {
        url: Some(url.clone()),
        access_key: Some(key.clone()),
        account: Some(config.account.clone()),
        customer: None,
    };
    project::write_types(&directory)?;
    write_private(&data.join("config.json"), &serde_json::to_string_pretty(&file)?)?;
    let fastn = Fastn::builder().url(&url).access_key(&key).account(&config.account).build()?;
    project.fill(Some(&url))?;
    let applied = project::apply(&fastn, &project, || {}).await;
    terminal::welcome(&terminal::Welcome {
        style,
        url: &url,
        key: &key,
        config: &config,
        project: &project,
        directory: &directory,
    });
    tell(style, &applied);

    let watcher = tokio::spawn(watch(style, directory.clone(), fastn, known));
    let shower = tokio::spawn(terminal::show(style, node.activity()));
    crate::cli::stop_signal().await?;
    println!("{}", style.dim("stopping …"));
    watcher.abort();
    shower.abort();
    node.stop().await.context("stop the node")
}

fn demo_customer() -> Customer {
    let (id, name) = (CUSTOMER_DEFAULT.to_owned(), "Demo".to_owned());
    Customer {
        id,
        name,
        status: CustomerStatus::default(),
        concurrency: None,
        weight: None,
        tier: None,
        quotas: Default::default(),
        region: None,
        encrypt_log: false,
    }
}

fn tell(style: Style, applied: &Applied) {
    if !applied.done.is_empty() {
        println!("{} {}", style.green("applied"), applied.done.join(", "));
    }
    for refused in &applied.refused {
        println!("{} {refused}", style.red("refused"));
    }
}

/// Applies the project again when a file changed. What is refused is told, and the old version goes on.
async fn watch(style: Style, directory: PathBuf, fastn: Fastn, mut known: project::Stamps) {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        let seen = project::stamps(&directory);
        if seen == known {
            continue;
        }
        let changed: Vec<&Path> =
            seen.iter().filter(|(path, at)| known.get(*path) != Some(at)).map(|(path, _)| path.as_path()).collect();
        let names: Vec<String> =
            changed.iter().map(|path| path.strip_prefix(&directory).unwrap_or(path).display().to_string()).collect();
        println!("{} {}", style.dim("changed"), names.join(", "));
        let read = Project::read(&directory).and_then(|mut project| {
            project.fill(Some(fastn.url()))?;
            Ok(project)
        });
        match read {
            Ok(mut project) => {
                // A secret that did not change would become a new version with each save of another file.
                if !changed.iter().any(|path| path.ends_with("fastn.yaml")) {
                    project.manifest.secrets.clear();
                }
                tell(style, &project::apply(&fastn, &project, || {}).await);
            }
            Err(error) => println!("{} {error:#}", style.red("refused")),
        }
        known = seen;
    }
}
