//! Connections: how many there are, and how long one may stall.

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use std::future::{Future, Ready, ready};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as some};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How many connections are open at a time; one more is closed as soon as it comes. A process is commonly allowed 1,024 open files,
/// and every run that is driven needs one, too.
pub const CONNECTIONS_MAX: usize = 512;
/// How long a client may take nothing of its answer.
const STALLED: Duration = Duration::from_secs(60);

/// Lets in as many connections as there may be.
#[derive(Clone)]
pub struct Door(Arc<Semaphore>);

impl Default for Door {
    fn default() -> Door {
        Door(Arc::new(Semaphore::new(CONNECTIONS_MAX)))
    }
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            return ready(Err(Error::new(ErrorKind::ConnectionRefused, "too many connections")));
        };
        // Answers are short and written whole: none has to wait for more.
        let opened = stream.set_nodelay(true);
        ready(opened.map(|()| (Connection { stream, stalled: None, _place: place }, service)))
    }
}

/// A connection that has been let in.
pub struct Connection {
    stream: TcpStream,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// A write that has come to nothing so far ends with patience.
    fn bounded(&mut self, context: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        some!(stalled.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How many bytes tell which version of HTTP is spoken: the preface of HTTP/2, RFC 9113, 3.4. No request of HTTP/1.1 is shorter.
const PREFACE_BYTES: usize = 24;

/// Lets in whoever says within this time which version of HTTP they speak. Until that is known nothing else ends a connection on
/// which nothing comes.
#[derive(Clone)]
pub struct Prompt<A> {
    pub inner: A,
    pub within: Duration,
}

impl<A, I, S> Accept<I, S> for Prompt<A>
where
    A: Accept<I, S, Future: Send + 'static>,
{
    type Stream = Awaited<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, Result<(Awaited<A::Stream>, A::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepted, within) = (self.inner.accept(stream, service), self.within);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let wait = Some((Box::pin(sleep(within)), PREFACE_BYTES));
            Ok((Awaited { stream, wait }, service))
        })
    }
}

/// A connection whose first bytes are waited for.
pub struct Awaited<T> {
    stream: T,
    /// Until when, and how many are missing.
    wait: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Awaited<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let came = into.filled().len() - before;
        if let Some((until, missing)) = &mut self.wait {
            *missing = missing.saturating_sub(came);
            if *missing == 0 {
                self.wait = None;
            } else if read.is_pending() && until.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Awaited<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn one_connection_too_many_is_let_in_when_another_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let door = Door(Arc::new(Semaphore::new(1)));
        let mut clients = Vec::new();
        let mut come = async || {
            clients.push(TcpStream::connect(to).await.unwrap());
            door.accept(listener.accept().await.unwrap().0, ()).await
        };
        let first = come().await.unwrap();
        assert!(come().await.is_err());
        drop(first);
        assert!(come().await.is_ok());
    }

    #[tokio::test]
    async fn who_does_not_say_what_they_speak_is_not_waited_for() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let within = Duration::from_millis(20);
        let awaited = |stream| Awaited { stream, wait: Some((Box::pin(sleep(within)), PREFACE_BYTES)) };
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..23]).await.unwrap();
        let (mut stream, mut read) = (awaited(server), [0; 64]);
        assert_eq!(stream.read(&mut read).await.unwrap(), 23);
        assert_eq!(stream.read(&mut read).await.unwrap_err().kind(), ErrorKind::TimedOut);
        // Who has said it may be silent for as long as the protocol allows.
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(&[b'x'; PREFACE_BYTES]).await.unwrap();
        let mut stream = awaited(server);
        assert_eq!(stream.read(&mut read).await.unwrap(), PREFACE_BYTES);
        sleep(2 * within).await;
        client.write_all(b"y").await.unwrap();
        assert_eq!(stream.read(&mut read).await.unwrap(), 1);
    }
}
