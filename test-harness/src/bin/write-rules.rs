//! Writes what is made of the Prometheus rules: their Kubernetes form and the index of the runbooks.

fn main() {
    for (path, text) in test_harness::rules::made_files() {
        let path = test_harness::rules::folder().join(path);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
