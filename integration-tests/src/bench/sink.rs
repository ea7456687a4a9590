//! The sink: an SMTP server that takes every letter, keeps none and counts them. What relaying
//! servers send to, and the measure of what the bare exchange costs. It has a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What is read at once.
const PIECE: usize = 64 * 1024;

/// A running sink; dropped, it ends.
pub struct Sink {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sink {
    /// Starts a sink on a free port of the loopback.
    pub fn start() -> Sink {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be told so");
        let address = listener.local_addr().expect("a bound socket has an address");
        let taken = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let counter = taken.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! {
                    () = serve(&listener, &counter) => {}
                    _ = stopped => {}
                }
            });
        });
        Sink { address, taken, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Letters taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: &TcpListener, taken: &Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let taken = taken.clone();
        // A client that breaks off is the business of the one who counts.
        tokio::spawn(async move { drop(session(stream, &taken).await) });
    }
}

async fn session(mut stream: TcpStream, taken: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink.test ESMTP\r\n").await?;
    let mut input = Vec::with_capacity(2 * PIECE);
    let mut output = Vec::new();
    let mut text = false;
    loop {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            if text {
                let Some(end) = end_of_data(rest) else { break };
                used += end;
                text = false;
                taken.fetch_add(1, Ordering::Relaxed);
                output.extend(b"250 2.0.0 taken\r\n");
                continue;
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { break };
            let verb = rest[..end].get(..4).unwrap_or_default().to_ascii_uppercase();
            used += end + 1;
            let reply: &[u8] = match verb.as_slice() {
                b"EHLO" => b"250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
                b"DATA" => b"354 go on\r\n",
                b"QUIT" => b"221 2.0.0 bye\r\n",
                _ => b"250 2.0.0 ok\r\n",
            };
            text = verb == b"DATA";
            output.extend(reply);
            if verb == b"QUIT" {
                return stream.write_all(&output).await;
            }
        }
        // Of a text only its end matters: the last octets wait for the next piece.
        if text {
            used = used.max(input.len().saturating_sub(END.len()));
        }
        input.drain(..used);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

const END: &[u8] = b"\r\n.\r\n";

/// Where the text ends, the end of data included.
fn end_of_data(text: &[u8]) -> Option<usize> {
    text.windows(END.len()).position(|window| window == END).map(|at| at + END.len())
}
