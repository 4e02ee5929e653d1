//! `fastn doctor` and `fastn rebuild`: the state of this machine and of the data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use fastn_domain::catalog::Catalog;
use fastn_log::Topic;
use fastn_sdk::Fastn;

use super::style::Style;
use crate::clock::SystemClock;
use crate::config::{Layer, LogBackend, ServeConfig};
use crate::wiring::{self, Found};

/// Free space below which a node soon refuses events.
const DISK_FREE_BYTES_MIN: u64 = 1 << 30;
/// Open files below which many connections meet a wall.
const OPEN_FILES_MIN: u64 = 4_096;
/// The first second of 2024: a clock before it is not set.
const CLOCK_MS_MIN: i64 = 1_704_067_200_000;

/// One look at one thing.
struct Report {
    style: Style,
    failures: u32,
}

impl Report {
    fn tell(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(state) => println!("{}  {what:<14} {state}", self.style.green("ok  ")),
            Err(problem) => {
                self.failures += 1;
                println!("{}  {what:<14} {problem}", self.style.red("FAIL"));
            }
        }
    }
}

impl Report {
    fn found(&mut self, what: &str, found: Vec<Found>) {
        if found.is_empty() {
            self.tell(what, Ok("as it should be".to_owned()));
        }
        for Found { fails, what: problem } in found {
            if fails {
                self.tell(what, Err(problem));
            } else {
                println!("{}  {what:<14} {problem}", self.style.yellow("warn"));
            }
        }
    }
}

fn effective(file: Option<&Path>, mut layer: Layer) -> anyhow::Result<ServeConfig> {
    if layer.data.is_none() && PathBuf::from(".fastn").is_dir() {
        layer.data = Some(PathBuf::from(".fastn"));
    }
    ServeConfig::layered(layer, file, true)
}

pub(crate) async fn run(file: Option<&Path>, layer: Layer) -> anyhow::Result<()> {
    let config = effective(file, layer)?;
    let mut report = Report { style: Style::detect(), failures: 0 };
    report.tell(
        "configuration",
        Ok(format!("data {}, log {}, store {}", config.data.display(), config.log, config.store)),
    );
    let now = crate::clock::now();
    let clock =
        if now.as_millis() < CLOCK_MS_MIN { Err(format!("{now} is in the past; set it")) } else { Ok(now.to_string()) };
    report.tell("clock", clock);
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let enough = format!("at most {files} open files");
    report.tell(
        "open files",
        if files < OPEN_FILES_MIN { Err(format!("{enough}; raise it to {OPEN_FILES_MIN}")) } else { Ok(enough) },
    );
    report.tell("data directory", writable(&config));
    report.tell("disk", disk(&config));

    for (what, found) in wiring::examine(&config).await? {
        report.found(what, found);
    }
    let server = match Fastn::builder().build() {
        Ok(fastn) => match fastn.health().await {
            Ok(health) => {
                report.tell("server", Ok(format!("{} at {}, version {}", health.status, fastn.url(), health.version)));
                true
            }
            Err(error) => {
                println!("{}  {:<14} {}", report.style.dim("--  "), "server", error.detail);
                false
            }
        },
        Err(error) => {
            println!("{}  {:<14} {}", report.style.dim("--  "), "server", error.detail);
            false
        }
    };
    let embedded = matches!(config.log_backend()?, LogBackend::File(_));
    if !embedded {
        // Looked at above.
    } else if server {
        println!(
            "{}  log and store are held by the running server; stop it to check them here",
            report.style.dim("--  ")
        );
    } else if config.data.is_dir() {
        report.tell("log", log(&config).await.map_err(|error| format!("{error:#}")));
        report.tell("store", store(&config).await.map_err(|error| format!("{error:#}")));
    }
    if report.failures > 0 {
        bail!("{} checks failed", report.failures);
    }
    Ok(())
}

fn writable(config: &ServeConfig) -> Result<String, String> {
    let probe = config.data.join(".fastn-doctor");
    if !config.data.is_dir() {
        return Ok(format!("{} is not there yet; a node makes it", config.data.display()));
    }
    std::fs::write(&probe, b"").map_err(|error| format!("{} is not writable: {error}", config.data.display()))?;
    std::fs::remove_file(&probe).map_err(|error| error.to_string())?;
    Ok(format!("{} is writable", config.data.display()))
}

fn disk(config: &ServeConfig) -> Result<String, String> {
    let path = if config.data.is_dir() { config.data.clone() } else { PathBuf::from(".") };
    let stat = rustix::fs::statvfs(&path).map_err(|error| error.to_string())?;
    let free = stat.f_bavail * stat.f_frsize;
    let told = format!("{} MiB free", free >> 20);
    if free < DISK_FREE_BYTES_MIN { Err(format!("{told}; free some, or events are refused soon")) } else { Ok(told) }
}

async fn log(config: &ServeConfig) -> anyhow::Result<String> {
    let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let mut records = 0;
    for topic in Topic::ALL {
        for partition in 0..log.partitions() {
            let bounds = log.bounds(topic, partition).await?;
            records += bounds.end - bounds.start;
            log.read(topic, partition, bounds.start, 1, 1 << 20).await?;
        }
    }
    let told = format!("{} partitions, {records} records, {} MiB", log.partitions(), log.disk_bytes() >> 20);
    log.close().await?;
    Ok(told)
}

async fn store(config: &ServeConfig) -> anyhow::Result<String> {
    let store = wiring::open_store(config, Arc::new(SystemClock)).await?;
    let (mut after, mut rows, mut catalog) = (0, 0, Catalog::default());
    loop {
        let page = store.changes(after, 1_000).await?;
        let Some(last) = page.last() else { break };
        (after, rows) = (last.revision, rows + page.len());
        let (next, errors) = catalog.with(&page);
        if let Some(error) = errors.into_iter().next() {
            store.close().await;
            return Err(error.into());
        }
        catalog = next;
    }
    store.close().await;
    Ok(format!("{rows} resources, all readable"))
}

pub(crate) async fn rebuild(file: Option<&Path>, layer: Layer) -> anyhow::Result<()> {
    let config = effective(file, layer)?;
    if matches!(config.log_backend()?, LogBackend::File(_)) && !config.data.is_dir() {
        bail!("there is no data directory {}; name it with --data", config.data.display());
    }
    let log = wiring::open_log(&config, Arc::new(SystemClock))
        .await
        .context("open the log; a node that runs must be stopped first")?;
    let store = wiring::open_store(&config, Arc::new(SystemClock)).await?;
    let bar = indicatif::ProgressBar::no_length().with_style(
        indicatif::ProgressStyle::with_template("rebuild {wide_bar} {pos}/{len} records, {eta} left")
            .context("the bar's template")?,
    );
    let result = wiring::rebuild(&config, log.clone(), store.clone(), |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    log.close().await?;
    store.close().await;
    result?;
    println!("the activity tables are made anew");
    Ok(())
}
