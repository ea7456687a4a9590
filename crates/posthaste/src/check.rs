//! `posthaste check`: says everything that is wrong with the configuration, with line and column,
//! and with the files it names. Opens no socket and changes nothing.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use net::tls::{Certificate, ClientAuthorities, Roots};
use serde_json::json;
use service::Exit;
use service::config::{Config, Fault, load};

use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;

/// Validates the configuration.
#[derive(Args, Debug)]
#[command(after_help = "Exit 0 when all is well, 78 with each fault otherwise.\n\n\
                        Example:\n  posthaste check -c /srv/mail/posthaste.toml")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// One JSON object per fault
    #[arg(long)]
    json: bool,
}

/// The command.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    exit::of("check", Ok(check(args)))
}

fn check(args: &CheckArgs) -> Exit {
    let path = &args.file.config;
    let faults = match load(path, &[]) {
        Ok(config) => named_files(&config),
        Err(faults) => faults.faults,
    };
    if faults.is_empty() {
        if !args.json {
            output::line(&format!("{}: no faults", path.display()));
        }
        return exit::DONE;
    }
    for fault in &faults {
        show(path, fault, args.json);
    }
    exit::BAD_CONFIGURATION
}

fn show(path: &Path, fault: &Fault, as_json: bool) {
    let (line, column) = fault.at.unzip();
    if as_json {
        output::json(&json!({
            "file": path, "line": line, "column": column, "key": fault.key, "message": fault.message
        }));
        return;
    }
    let faults = service::config::Faults { path: path.to_owned(), faults: vec![fault.clone()] };
    output::line(&faults.to_string());
}

/// Faults in the files that the configuration names.
fn named_files(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut say = |key: &str, message: String| {
        faults.push(Fault { at: None, key: key.to_owned(), message });
    };
    if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key)
        && let Err(error) = Certificate::from_files(certificate, key)
    {
        say("tls.certificate", error.to_string());
    }
    if let Some(roots) = &config.tls.extra_roots_file
        && let Err(error) = Roots::load(Some(roots))
    {
        say("tls.extra_roots_file", error.to_string());
    }
    if let Some(file) = &config.tls.client_authorities_file
        && let Err(error) = ClientAuthorities::from_file(file)
    {
        say("tls.client_authorities_file", error.to_string());
    }
    if let Some(file) = &config.oauth.client_secret_file
        && let Err(error) = std::fs::File::open(file)
    {
        say("oauth.client_secret_file", format!("cannot read {}: {error}", file.display()));
    }
    if let Some(file) = &config.mta.smarthost_password_file
        && let Err(error) = std::fs::File::open(file)
    {
        say("mta.smarthost_password_file", format!("cannot read {}: {error}", file.display()));
    }
    let data = &config.storage.data_dir;
    if !data.is_dir() {
        let message = format!(
            "the folder {} does not exist; make it, or let `posthaste init` set everything up",
            data.display()
        );
        say("storage.data_dir", message);
    }
    faults
}
