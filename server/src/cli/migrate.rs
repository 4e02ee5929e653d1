//! `fastn migrate`: brings the schema of PostgreSQL up to date and makes the roles that nodes serve with.

use anyhow::Context;
use clap::Args;
use fastn_store::{MigrateOptions, migrate};

use super::print;
use crate::config::Masked;

/// Bring the schema of PostgreSQL up to date; safe to repeat
#[derive(Debug, Args)]
#[command(after_help = "Example: fastn migrate --owner postgres://fastn_owner@db/fastn\n\n\
    The owner makes two roles that serve: one for --store, one for --store-projector. Neither can bypass row-level\n\
    security. Their passwords are taken from FASTN_APPLICATION_PASSWORD and FASTN_PROJECTOR_PASSWORD; without them a role\n\
    keeps the one that it has. Nodes of this version and the version before go on meanwhile.")]
pub(crate) struct Migrate {
    /// The database, as the role that owns its schema and may make roles
    #[arg(long, env = "FASTN_STORE_OWNER", value_name = "URL", hide_env_values = true)]
    owner: Masked,
    /// The role of --store
    #[arg(long, value_name = "NAME", default_value = "fastn_app")]
    application_role: String,
    /// The role of --store-projector
    #[arg(long, value_name = "NAME", default_value = "fastn_projector")]
    projector_role: String,
}

pub(crate) async fn run(arguments: Migrate) -> anyhow::Result<()> {
    let password = |name: &str| std::env::var(name).ok().filter(|password| !password.is_empty());
    let options = MigrateOptions {
        application_role: arguments.application_role,
        application_password: password("FASTN_APPLICATION_PASSWORD"),
        projector_role: arguments.projector_role,
        projector_password: password("FASTN_PROJECTOR_PASSWORD"),
    };
    let migrated =
        migrate(&arguments.owner.0, &options).await.with_context(|| format!("migrate {}", arguments.owner))?;
    match migrated.from {
        Some(from) if from == migrated.to => print::line(format_args!("the schema is at version {from} already"))?,
        Some(from) => print::line(format_args!("migrated the schema from version {from} to {}", migrated.to))?,
        None => print::line(format_args!("made the schema, version {}", migrated.to))?,
    }
    print::line(format_args!("roles  {} and {}", options.application_role, options.projector_role))
}
