//! The data directory: made at the first start, with the administrator's token.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::base::Entropy;

/// Name of the token's file in the data directory.
pub const TOKEN_FILE: &str = "admin.token";

/// Makes the directory, readable by its owner only, unless it is there.
pub fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// The administrator's token, written at the first start. The second value is true when it is new.
pub fn admin_token(dir: &Path, entropy: &mut Entropy) -> io::Result<(String, bool)> {
    let path = dir.join(TOKEN_FILE);
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => {
            let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                tracing::warn!(
                    "{} can be read by others (mode {mode:o}): chmod 600 it, or remove it for a new token",
                    path.display()
                );
            }
            return Ok((text.trim().to_string(), false));
        }
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let letters = entropy.token::<40>();
    let token: String = letters.iter().map(|&b| char::from(b)).collect();
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    Ok((token, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_is_for_the_owner_only() {
        let outer = tempfile::tempdir().expect("dir");
        let dir = outer.path().join("var/strowger");
        make(&dir).expect("makes");
        make(&dir).expect("is there");
        let mut entropy = Entropy::from_number(1);
        let (token, new) = admin_token(&dir, &mut entropy).expect("writes");
        assert!(new && token.len() == 40);
        let again = admin_token(&dir, &mut entropy).expect("reads");
        assert_eq!(again, (token.clone(), false));
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&dir.join(TOKEN_FILE)), 0o600);
        assert_eq!(mode(&dir), 0o700);
        fs::write(dir.join(TOKEN_FILE), "\n").expect("writes");
        let (other, new) = admin_token(&dir, &mut entropy).expect("writes");
        assert!(new && other != token);
    }
}
