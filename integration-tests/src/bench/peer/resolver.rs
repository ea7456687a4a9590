//! A name server for peers that insist on one, and a way to let them alone see it: they run in a
//! mount namespace of their own, in which /etc/resolv.conf names it.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Queries are asked for port 53, whatever resolv.conf says.
const PORT: u16 = 53;
/// How often the thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(200);

/// A name server that knows no name; dropped, it ends.
pub(super) struct Resolver {
    conf: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Resolver {
    /// Starts one; its resolv.conf is put into `folder`.
    pub(super) fn start(folder: &Path) -> io::Result<Resolver> {
        // An address of our own: 127.0.0.1 may have a resolver already.
        let address = Ipv4Addr::new(127, 53, 53, 53);
        let socket = UdpSocket::bind((address, PORT))?;
        socket.set_read_timeout(Some(LOOK))?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = std::thread::spawn(move || serve(&socket, &ends));
        let conf = folder.join("resolv.conf");
        std::fs::write(&conf, format!("nameserver {address}\n"))?;
        Ok(Resolver { conf, over, thread: Some(thread) })
    }

    /// A command that runs a program, and the arguments that are added to it, where only this name
    /// server is known.
    pub(super) fn seen_by(&self, program: &Path) -> Command {
        let script = "mount --make-rprivate / && mount --bind \"$1\" /etc/resolv.conf \
                      && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(&self.conf).arg(program);
        command
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, over: &AtomicBool) {
    let mut query = [0; 1500];
    while !over.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
        if let Some(answer) = no_such_name(&query[..length]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// RFC 1035 §4.1: the question again, and that the name does not exist.
fn no_such_name(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += usize::from(*query.get(end)?) + 1;
    }
    let question = query.get(12..end + 5)?;
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    Some(answer)
}
