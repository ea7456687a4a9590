//! Whether DNS shows the records that we want. Asks the servers of the configuration.

use net::dns::{Cause, Failure, Resolver, Setting};
use serde_json::json;
use service::{Config, Exit, Fatal};

use super::Record;
use crate::{ask, exit, output};

/// What DNS says of one record.
enum Found {
    /// As it should be.
    Yes,
    /// Not there, or another; what is there instead.
    No(String),
    /// DNS did not answer.
    Unknown(String),
}

/// Asks for each record; says what was found.
///
/// # Errors
/// When DNS cannot be asked at all.
pub(super) fn run(config: &Config, wanted: &[Record], as_json: bool) -> Result<Exit, Fatal> {
    let resolver = ask::runtime()?.block_on(async {
        let setting = Setting { servers: config.dns.servers.clone(), ..Setting::default() };
        let resolver = Resolver::new(&setting).map_err(Fatal::configuration)?;
        let mut all = true;
        let mut known = true;
        for record in wanted {
            let found = look(&resolver, record).await;
            let (word, detail) = match &found {
                Found::Yes => ("ok", String::new()),
                Found::No(instead) => ("missing", instead.clone()),
                Found::Unknown(why) => ("unknown", why.clone()),
            };
            all &= !matches!(found, Found::No(_));
            known &= !matches!(found, Found::Unknown(_));
            if as_json {
                output::json(&json!({
                    "name": record.name, "type": record.kind, "outcome": word, "found": detail,
                }));
            } else {
                let end = if detail.is_empty() { String::new() } else { format!(": {detail}") };
                output::line(&format!(
                    "{word:8}{} {}{}",
                    record.kind,
                    record.name,
                    output::safe(&end)
                ));
            }
        }
        Ok::<_, Fatal>((all, known))
    })?;
    Ok(match resolver {
        (false, _) => exit::NO,
        (true, false) => exit::TRY_AGAIN,
        (true, true) => exit::DONE,
    })
}

async fn look(resolver: &Resolver, record: &Record) -> Found {
    let name = record.name.as_str();
    let found: Result<Vec<String>, Failure> = match record.kind {
        "MX" => resolver.mx(name).await.map(|answer| {
            answer.records.iter().map(|mx| format!("{} {}.", mx.preference, mx.exchange)).collect()
        }),
        "A" => resolver
            .a(name)
            .await
            .map(|answer| answer.records.iter().map(ToString::to_string).collect()),
        "AAAA" => resolver
            .aaaa(name)
            .await
            .map(|answer| answer.records.iter().map(ToString::to_string).collect()),
        _ => resolver.txt(name).await.map(|answer| {
            let text = |text: &Vec<u8>| String::from_utf8_lossy(text).into_owned();
            answer.records.iter().map(text).collect()
        }),
    };
    match found {
        Ok(found) if found.iter().any(|one| is_same(record, one)) => Found::Yes,
        Ok(found) => Found::No(found.join(" | ")),
        Err(failure) => match failure.cause {
            Cause::NoSuchName | Cause::NoData | Cause::BadName => {
                Found::No(failure.cause.to_string())
            }
            _ => Found::Unknown(failure.to_string()),
        },
    }
}

/// Whether `found` does what `wanted` is for. A site may say more in SPF and DMARC than we propose.
fn is_same(wanted: &Record, found: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    match (wanted.kind, wanted.value.split([' ', ';']).next().unwrap_or_default()) {
        ("MX", _) => {
            let host = |text: &str| text.split_once(' ').map(|(_, host)| host.to_ascii_lowercase());
            host(&wanted.value) == host(found)
        }
        ("TXT", version @ ("v=spf1" | "v=DMARC1")) => found.starts_with(version),
        // The address of a machine that does not know its own.
        ("A" | "AAAA", _) if wanted.value.starts_with('<') => true,
        _ => squeezed(&wanted.value) == squeezed(found),
    }
}
