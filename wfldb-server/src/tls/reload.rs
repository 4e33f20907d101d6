//! New certificates without a restart: the files are looked at every few seconds, and when somebody asks.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Contents, Tls, TlsError};
use crate::app::App;

/// From one look at the files to the next.
const LOOK: Duration = Duration::from_secs(5);

/// What a look at the files led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Same,
    Taken,
}

/// Keeps the certificates what the files say, until `end`.
pub(crate) async fn watch(app: Arc<App>, tls: Arc<Tls>, mut end: watch::Receiver<bool>) {
    // A file that is away is the same news at each look; contents that cannot be used fail once.
    let mut last_failure = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = tls.look.notified() => {}
            _ = end.wait_for(|end| *end) => return,
        }
        let looking = Arc::clone(&tls);
        let Ok(found) = tokio::task::spawn_blocking(move || looking.look()).await else {
            return;
        };
        match found {
            Ok(Found::Same) => last_failure.clear(),
            Ok(Found::Taken) => {
                last_failure.clear();
                app.metrics.certificates("taken");
                tracing::info!("new TLS certificates are in use; open connections go on");
            }
            Err(error) => {
                let failure = error.to_string();
                if failure != last_failure {
                    app.metrics.certificates("refused");
                    tracing::error!(%error, "the TLS files cannot be used; the certificates from before stay in use");
                    last_failure = failure;
                }
            }
        }
    }
}

impl Tls {
    fn look(&self) -> Result<Found, TlsError> {
        let contents = Contents::read(&self.files)?;
        let hash = contents.hash();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == hash {
            return Ok(Found::Same);
        }
        // Contents that cannot be used are refused once, not at each look.
        *seen = hash;
        let config = contents.config(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(Found::Taken)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::tls::TlsFiles;

    fn write_pair(dir: &Path) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert"), made.cert.pem()).unwrap();
        fs::write(dir.join("key"), made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(dir.join("key"), fs::Permissions::from_mode(0o640)).unwrap();
    }

    fn open(dir: &Path) -> Result<Tls, TlsError> {
        let client_ca = dir.join("client_ca");
        Tls::open(TlsFiles {
            cert: dir.join("cert"),
            key: dir.join("key"),
            client_ca: client_ca.exists().then_some(client_ca),
        })
    }

    /// Defects it catches: half of a new pair in use; a broken pair that is retried, and logged, for ever; a good pair
    /// that is not taken after a broken one.
    #[test]
    fn a_new_pair_is_taken_when_it_is_whole_and_the_old_one_stays_until_then() {
        let dir = tempfile::tempdir().unwrap();
        write_pair(dir.path());
        let tls = open(dir.path()).unwrap();
        let first = tls.current();
        assert_eq!(tls.look().unwrap(), Found::Same);

        let old_key = fs::read(dir.path().join("key")).unwrap();
        write_pair(dir.path());
        let new_key = fs::read(dir.path().join("key")).unwrap();
        fs::write(dir.path().join("key"), old_key).unwrap();
        assert!(matches!(tls.look(), Err(TlsError::Pair { .. })));
        assert!(Arc::ptr_eq(&tls.current(), &first), "the old pair stays");
        assert_eq!(
            tls.look().unwrap(),
            Found::Same,
            "the same broken pair is no news"
        );

        fs::write(dir.path().join("key"), new_key).unwrap();
        assert_eq!(tls.look().unwrap(), Found::Taken);
        assert!(!Arc::ptr_eq(&tls.current(), &first));

        let second = tls.current();
        fs::remove_file(dir.path().join("cert")).unwrap();
        assert!(matches!(tls.look(), Err(TlsError::Read { .. })));
        assert!(Arc::ptr_eq(&tls.current(), &second));
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().unwrap();
        write_pair(dir.path());
        fs::write(dir.path().join("client_ca"), "none").unwrap();
        assert!(matches!(open(dir.path()), Err(TlsError::ClientCa { .. })));
        fs::copy(dir.path().join("cert"), dir.path().join("client_ca")).unwrap();
        assert!(open(dir.path()).is_ok());
        fs::set_permissions(dir.path().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(dir.path()), Err(TlsError::OpenKey(_))));
        fs::write(dir.path().join("cert"), vec![b'-'; (1 << 20) + 1]).unwrap();
        assert!(matches!(open(dir.path()), Err(TlsError::TooLarge(_))));
        fs::remove_file(dir.path().join("cert")).unwrap();
        assert!(matches!(open(dir.path()), Err(TlsError::Read { .. })));
    }
}
