//! `fastn openapi`: the document of the API, who may call what, and what breaks for clients of an earlier document.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::print;
use crate::{api, compat};

/// Prints who may call what.
pub(crate) fn access() -> anyhow::Result<()> {
    print::line(api::access::page(&api::document()).trim_end())
}

/// Prints what a client of the document in `earlier` can notice, and fails if it breaks on something that is not accepted.
pub(crate) fn compare(earlier: &Path, accepted: Option<&Path>) -> anyhow::Result<()> {
    let old: Value = read(earlier)?;
    let accepted: BTreeMap<String, String> = accepted.map(read).transpose()?.unwrap_or_default();
    let findings = compat::compare(&old, &api::document());
    let (breaks, idle) = compat::unaccepted(&findings, &accepted);
    for finding in findings.iter().filter(|finding| !finding.breaks) {
        print::line(format_args!("warning  {finding}"))?;
    }
    for finding in &breaks {
        print::line(format_args!("breaks   {finding}"))?;
    }
    for key in &idle {
        print::line(format_args!("idle     {key:?} is accepted and breaks nothing"))?;
    }
    if !breaks.is_empty() || !idle.is_empty() {
        bail!(
            "{} breaks of clients of {} are not accepted, {} accepted ones are none; mend the API, or list the break by \
             its rule and place with the reason",
            breaks.len(),
            earlier.display(),
            idle.len()
        );
    }
    print::line(format_args!("clients of {} still work; {} breaks are accepted", earlier.display(), accepted.len()))
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", file.display()))
}
