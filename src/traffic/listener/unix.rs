//! A unix socket in a directory, named as libpq looks for it, for its owner only.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The longest path that `sockaddr_un` holds on Linux, less its end.
const PATH_BYTES_MAX: usize = 107;

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl BoundSocket {
    /// `shared` lets other users in; they need search permission on the directory too. Makes the directory (mode 0700) if it is missing. A socket left behind by a process that is
    /// gone is replaced, one that is in use is not.
    pub fn bind(dir: &Path, port: u16, shared: bool) -> io::Result<Self> {
        let path = dir.join(format!(".s.PGSQL.{port}"));
        let length = path.as_os_str().len();
        if length > PATH_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the socket's path is {length} bytes long, the limit is {PATH_BYTES_MAX}"),
            ));
        }
        if !dir.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        if path.exists() {
            match std::os::unix::net::UnixStream::connect(&path) {
                // Nobody listens any more; any other failure does not say so.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&path)?,
                Err(error) => return Err(error),
                Ok(_) => {
                    let what = "another process listens on this socket";
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
                }
            }
        }
        // Between bind and chmod the directory's own mode protects the socket, and so does the
        // check of the peer's uid.
        let listener = UnixListener::bind(&path)?;
        // With further uids permitted the kernel must let them in; who they are is checked at accept.
        let mode = if shared { 0o666 } else { 0o600 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(Self { listener, path })
    }

    pub async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("dbproxy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[tokio::test]
    async fn a_socket_is_for_its_owner_and_goes_with_its_listener() {
        let dir = dir("unix");
        let socket = BoundSocket::bind(&dir, 5432, false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&socket.path), 0o600);
        let again = BoundSocket::bind(&dir, 5432, false).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let path = socket.path.clone();
        drop(socket);
        assert!(!path.exists());
        fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced() {
        let dir = dir("stale");
        fs::create_dir_all(&dir).unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.join(".s.PGSQL.1")).unwrap());
        assert!(BoundSocket::bind(&dir, 1, true).is_ok());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused_with_its_length() {
        let error = BoundSocket::bind(Path::new(&"/x".repeat(60)), 5432, false).unwrap_err();
        assert!(error.to_string().contains("134 bytes"), "{error}");
    }
}
