//! Debian's packages of peers. Transfer agents shut each other out as packages, so they are
//! downloaded and unpacked side by side; what they need besides is installed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where packages are unpacked: `POSTHASTE_PEERS`, else a folder beside other temporary files.
fn cache() -> PathBuf {
    let named = std::env::var_os("POSTHASTE_PEERS").map(PathBuf::from);
    named.unwrap_or_else(|| std::env::temp_dir().join("posthaste-bench-peers"))
}

/// The version of an installed package.
pub(crate) fn version(package: &str) -> Option<String> {
    let asked = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let version = String::from_utf8(asked.ok()?.stdout).ok()?;
    (!version.is_empty()).then(|| upstream(&version))
}

/// `1:2.3.19.1+dfsg1-2.1` without what Debian added.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['-', '+']).next().unwrap_or(version).to_owned()
}

/// Unpacks packages under one folder, once. Gives the folder and the first one's version.
///
/// # Errors
///
/// They cannot be downloaded or unpacked.
pub(crate) fn unpacked(packages: &[&str]) -> io::Result<(PathBuf, String)> {
    let first = packages.first().copied().unwrap_or_default();
    let cache = super::folder_of(&cache(), 0o755)?;
    let (folder, note) = (cache.join(first), cache.join(format!("{first}.version")));
    if let Ok(version) = std::fs::read_to_string(&note) {
        return Ok((folder, version));
    }
    let files = super::folder_of(&cache.join("files"), 0o777)?;
    run(Command::new("apt-get").args(["-q", "download"]).args(packages).current_dir(&files))?;
    let mut version = None;
    for package in packages {
        let file = downloaded(&files, package)?;
        run(Command::new("dpkg").arg("-x").arg(&file).arg(&folder))?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let its = name.split('_').nth(1).unwrap_or_default().replace("%3a", ":");
        version.get_or_insert_with(|| upstream(&its));
    }
    super::folder_of(&folder, 0o755)?;
    let version = version.unwrap_or_default();
    std::fs::write(note, &version)?;
    Ok((folder, version))
}

fn downloaded(files: &Path, package: &str) -> io::Result<PathBuf> {
    let prefix = format!("{package}_");
    let named = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(&prefix))
    };
    let mut paths = std::fs::read_dir(files)?.flatten().map(|entry| entry.path());
    paths.find(named).ok_or_else(|| io::Error::other(format!("{package} was not downloaded")))
}

/// Installs packages that are missing: libraries, and servers that shut nobody out. No service of
/// theirs is started.
///
/// # Errors
///
/// They cannot be installed.
pub(crate) fn installed(packages: &[&str]) -> io::Result<()> {
    let missing: Vec<&&str> = packages.iter().filter(|name| version(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        // invoke-rc.d(8): 101 forbids.
        std::fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        super::folder_of(policy.parent().unwrap_or(policy), 0o755)?;
        std::fs::set_permissions(policy, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let done = run(Command::new("apt-get")
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive"));
    if ours {
        std::fs::remove_file(policy)?;
    }
    done
}

/// The number of an account, made if need be; its group has the same name.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn account(name: &str) -> io::Result<(u32, u32)> {
    group(name)?;
    if number_of("/etc/passwd", name).is_none() {
        let words = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "-g", name];
        run(Command::new("useradd").args(words).args(["--shell", "/usr/sbin/nologin", name]))?;
    }
    let missing = || io::Error::other(format!("account {name} is missing"));
    let user = number_of("/etc/passwd", name).ok_or_else(missing)?;
    Ok((user, number_of("/etc/group", name).ok_or_else(missing)?))
}

/// The number of a group, made if need be.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn group(name: &str) -> io::Result<u32> {
    if number_of("/etc/group", name).is_none() {
        run(Command::new("groupadd").args(["--system", name]))?;
    }
    let missing = || io::Error::other(format!("group {name} is missing"));
    number_of("/etc/group", name).ok_or_else(missing)
}

fn number_of(file: &str, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

fn run(command: &mut Command) -> io::Result<()> {
    let said = command.stdin(Stdio::null()).output()?;
    if said.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&said.stderr);
    let last = text.lines().last().unwrap_or_default();
    Err(io::Error::other(format!("{}: {last}", command.get_program().display())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_is_told_without_what_debian_added() {
        assert_eq!(super::upstream("1:2.3.19.1+dfsg1-2.1+deb12u7"), "2.3.19.1");
        assert_eq!(super::upstream("6.8.0p2-4+b4"), "6.8.0p2");
    }
}
