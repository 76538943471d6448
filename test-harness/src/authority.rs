//! A certificate authority made on the spot, which signs identities of workloads as a mesh does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::hosts::postgres::output_of;

/// The authority, with all it has signed; gone when dropped.
#[derive(Debug)]
pub struct Authority {
    directory: tempfile::TempDir,
}

/// Certificate and key of one workload.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// The directory in which a workload finds what identifies it: `tls.crt`, `tls.key` and `ca.crt`, laid
/// out as a kubelet mounts a volume. Gone when dropped.
#[derive(Debug)]
pub struct Workload {
    directory: tempfile::TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    #[track_caller]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let authority = Self { directory };
        authority.openssl(
            &["req", "-x509", "-subj", "/CN=test", "-out", "ca.crt"],
            "ca.key",
        );
        authority
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// Signs a certificate with these subject alternative names, such as
    /// `URI:spiffe://mesh.test/ns/shop/sa/billing,DNS:localhost`; `name` is for the files.
    #[track_caller]
    pub fn identity(&self, name: &str, alternatives: &str) -> Identity {
        let file = |ending: &str| format!("{name}.{ending}");
        let (key, request, certificate) = (file("key"), file("csr"), file("crt"));
        let id = format!("subjectAltName={alternatives}");
        self.openssl(
            &["req", "-subj", "/CN=x", "-addext", &id, "-out", &request],
            &key,
        );
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in", &request, "-out", &certificate])
            .args(["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"])
            .args(["-copy_extensions", "copy"]);
        output_of(sign.current_dir(self.path()));
        Identity {
            certificate: self.path().join(certificate),
            key: self.path().join(key),
        }
    }

    /// A workload with a certificate for these alternative names, such as
    /// `URI:spiffe://cluster.local/ns/shop/sa/till`.
    #[track_caller]
    pub fn workload(&self, alternatives: &str) -> Workload {
        let directory = tempfile::tempdir().expect("a directory can be made");
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            let link = directory.path().join(name);
            symlink(Path::new("..data").join(name), link).expect("a link can be made");
        }
        let workload = Workload { directory };
        workload.renew(self, alternatives);
        workload
    }

    /// Runs openssl with a new key.
    fn openssl(&self, arguments: &[&str], key: &str) {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let mut command = Command::new("openssl");
        command
            .args(arguments)
            .args(curve)
            .args(["-nodes", "-keyout", key]);
        output_of(command.current_dir(self.path()));
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Workload {
    /// Where the three files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Exchanges all three for new ones of this authority in one step, as a kubelet does: the files are
    /// links through `..data`, which is a link to the directory of the day.
    #[track_caller]
    pub fn renew(&self, authority: &Authority, alternatives: &str) {
        let directory = self.directory();
        let versions = fs::read_dir(directory).expect("it is there").count();
        let name = format!("..{versions}");
        let identity = authority.identity(&format!("workload{versions}"), alternatives);
        let renewed = directory.join(&name);
        fs::create_dir(&renewed).expect("a directory can be made");
        for (from, to) in [
            (&identity.certificate, "tls.crt"),
            (&identity.key, "tls.key"),
            (&authority.certificate(), "ca.crt"),
        ] {
            fs::copy(from, renewed.join(to)).expect("it can be copied");
        }
        let link = directory.join("..new");
        symlink(&name, &link).expect("a link can be made");
        fs::rename(&link, directory.join("..data")).expect("it can be exchanged");
    }
}
