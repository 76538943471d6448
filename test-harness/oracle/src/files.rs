//! Statements of `.sql` files, the way psql would send them.

use std::path::{Path, PathBuf};

/// Every `.sql` file under a folder, sorted.
///
/// # Errors
/// The folder or one below it cannot be read.
pub fn sql_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sql_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The statements of a file: psql's own commands and the data of COPY FROM STDIN are left out.
pub fn statements(text: &str) -> Vec<String> {
    let mut kept = String::new();
    let mut in_data = false;
    for line in text.lines() {
        if in_data {
            in_data = line != "\\.";
        } else if !line.starts_with('\\') {
            kept.push_str(line);
            kept.push('\n');
            let lower = line.to_ascii_lowercase();
            in_data =
                lower.contains("copy ") && lower.contains("from stdin") && lower.ends_with(';');
        }
    }
    split(&kept).unwrap_or_else(|| {
        // One literal that does not lex spoils the whole file: then it is cut at line ends.
        let pieces = kept.split_inclusive(";\n");
        pieces
            .flat_map(|piece| split(piece).unwrap_or_else(|| vec![piece.to_owned()]))
            .collect()
    })
}

fn split(text: &str) -> Option<Vec<String>> {
    let parts = pg_query::split_with_scanner(text).ok()?;
    Some(parts.into_iter().map(str::to_owned).collect())
}
