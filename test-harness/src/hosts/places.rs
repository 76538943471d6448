//! Where things are: the tree, the hosts that `make setup` installed, the built modules, and the
//! directories under the system's temporary directory where hosts live while they run.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::HostError;

/// The root of the source tree.
pub fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the harness is a folder of the tree")
}

/// A built module, `dist/pgmesh-<name>.wasm`. Panics when it has not been built.
#[track_caller]
pub fn built_module(name: &str) -> PathBuf {
    let path = tree().join("dist").join(format!("pgmesh-{name}.wasm"));
    assert!(
        path.exists(),
        "{} is not there: run `make plugins`",
        path.display()
    );
    path
}

/// The network filter on the proxy-wasm SDK that ours are compared with. Panics when not built.
#[track_caller]
pub fn reference_plugin() -> PathBuf {
    built_module("reference-plugin")
}

/// A path inside the Python packages that `make setup` installed.
pub(crate) fn python_package(path: &str) -> Result<PathBuf, HostError> {
    let libraries = tree().join(".venv/lib");
    fs::read_dir(&libraries)
        .into_iter()
        .flatten()
        .flatten()
        .map(|python| python.path().join("site-packages").join(path))
        .find(|candidate| candidate.exists())
        .ok_or_else(|| {
            HostError::new(format!(
                "no {path} under {}: run `make setup`",
                libraries.display()
            ))
        })
}

/// A program that `make setup` installed as a Debian package.
pub fn program_on_path(name: &str) -> Result<PathBuf, HostError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| HostError::new(format!("no {name} on PATH: run `make setup`")))
}

/// The user that hosts run as: ourselves, or for root somebody else, since PostgreSQL refuses root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric id of the user's main group.
    pub gid: u32,
}

impl User {
    /// The unprivileged user of this machine.
    pub fn unprivileged() -> &'static Self {
        static USER: OnceLock<User> = OnceLock::new();
        USER.get_or_init(|| {
            let me = Self {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            };
            if me.uid != 0 {
                return me;
            }
            ["postgres", "nobody"]
                .iter()
                .find_map(|name| Self::named(name))
                .expect("/etc/passwd has a user postgres or nobody")
        })
    }

    fn named(name: &str) -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        let mut fields = passwd
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?
            .split(':')
            .skip(1);
        Some(Self {
            uid: fields.next()?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }

    /// Makes `path` this user's.
    pub(super) fn take(&self, path: &Path) -> std::io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Whether this user can reach `path`, as far as the directories above it are concerned.
    pub(super) fn reaches(&self, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .filter_map(|ancestor| ancestor.metadata().ok())
            .all(|ancestor| {
                ancestor.mode() & 0o001 != 0
                    || (ancestor.uid() == self.uid && ancestor.mode() & 0o100 != 0)
            })
    }
}

/// What hosts share between runs: `<tmp>/pgmesh-<our uid>`, ours alone to write.
pub(super) fn shared_directory() -> Result<PathBuf, HostError> {
    let uid = rustix::process::geteuid().as_raw();
    let path = std::env::temp_dir().join(format!("pgmesh-{uid}"));
    let failed = |error| HostError::new(format!("{}: {error}", path.display()));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&path)
        .map_err(failed)?;
    let found = fs::symlink_metadata(&path).map_err(failed)?;
    if !found.is_dir() || found.uid() != uid {
        return Err(HostError::new(format!("{} is not ours", path.display())));
    }
    Ok(path)
}

/// A directory for one running host, owned by the user it runs as, removed when dropped.
///
/// Its path is short, since Unix sockets allow 107 bytes. What a killed run left behind is removed
/// by the next one. `PGMESH_KEEP=1` keeps the directories for a look.
#[derive(Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes one whose name starts with `name`.
    pub fn new(name: &str) -> Result<Self, HostError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: OnceLock<()> = OnceLock::new();
        let runs = shared_directory()?.join("run");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{name}-{}-{count}", std::process::id()));
        let failed = |error| HostError::new(format!("{}: {error}", path.display()));
        fs::create_dir_all(&runs).map_err(failed)?;
        SWEEP.get_or_init(|| remove_leftovers(&runs));
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&path)
            .map_err(failed)?;
        User::unprivileged().take(&path).map_err(failed)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if std::env::var_os("PGMESH_KEEP").is_some() {
            eprintln!("kept: {}", self.0.display());
        } else {
            // What cannot be removed now, the next run removes.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Removes run directories whose harness process is gone.
fn remove_leftovers(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.rsplit('-').nth(1));
        let alive = owner.is_some_and(|pid| Path::new("/proc").join(pid).exists());
        if !alive && std::env::var_os("PGMESH_KEEP").is_none() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
