//! How long this hub waits for somebody who is slow: a request's body, or an answer that is not taken.
//!
//! Owns: the account of waiting, request bodies and sockets that keep it. Not here: a request's head (`server`).
//! Invariant: a connection that waits for the other side ends, unless bytes pass at the least rate: sending one byte now and
//! then buys nothing.
//! Spec: QUEUE-10.
//!
//! Time spent waiting is a debt, and bytes pay it: each of them 1 / rate seconds. Who owes more than the stall time has been
//! waited for long enough. What passes without waiting costs nothing, so nobody is measured while we are the slow ones.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::config::Config;

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The largest debt.
    pub(super) stall: Duration,
    /// Bytes that pay for a second.
    pub(super) rate: u32,
}

impl Patience {
    /// Under a hub's settings.
    pub(super) fn of(config: &Config) -> Self {
        let stall = Duration::from_secs(config.transfer.stall_seconds);
        Self { stall, rate: config.limits.min_bytes_per_second }
    }
}

/// What one side owes.
#[derive(Debug, Clone, Copy)]
struct Account {
    patience: Patience,
    debt: Duration,
}

impl Account {
    fn new(patience: Patience) -> Self {
        Self { patience, debt: Duration::ZERO }
    }

    /// What may still be waited.
    fn left(&self) -> Duration {
        self.patience.stall.saturating_sub(self.debt)
    }

    fn waited(&mut self, time: Duration) {
        self.debt = self.debt.saturating_add(time);
    }

    fn passed(&mut self, bytes: usize) {
        let seconds = bytes as f64 / f64::from(self.patience.rate.max(1));
        self.debt = self.debt.saturating_sub(Duration::from_secs_f64(seconds));
    }
}

/// A body that fails when its sender is too slow.
pub(super) fn body(body: Body, patience: Patience) -> Body {
    let begin = (body.into_data_stream(), Account::new(patience));
    let pieces = stream::unfold(begin, |(mut body, mut account)| async move {
        let since = Instant::now();
        let piece: Result<Bytes, axum::Error> =
            match tokio::time::timeout(account.left(), body.next()).await {
                Ok(piece) => piece?,
                Err(_) => Err(axum::Error::new(TooSlow)),
            };
        account.waited(since.elapsed());
        if let Ok(piece) = &piece {
            account.passed(piece.len());
        }
        Some((piece, (body, account)))
    });
    // Whoever reads a body may ask again at its end.
    Body::from_stream(pieces.fuse())
}

/// Why a body or a connection ended.
#[derive(Debug, thiserror::Error)]
#[error("the other side is too slow")]
pub(super) struct TooSlow;

/// A socket whose other side has to take what is written.
pub(super) struct Patient<S> {
    socket: S,
    account: Account,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Patient<S> {
    pub(super) fn new(socket: S, patience: Patience) -> Self {
        Self { socket, account: Account::new(patience), waiting: None }
    }

    /// What a write that came to `wrote` means for the account.
    fn settle(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(wrote) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.account.waited(since.elapsed());
                }
                self.account.passed(*wrote.as_ref().unwrap_or(&0));
                Poll::Ready(wrote)
            }
            Poll::Pending => {
                let left = self.account.left();
                let now = Instant::now();
                let (_, end) = self
                    .waiting
                    .get_or_insert_with(|| (now, Box::pin(tokio::time::sleep_until(now + left))));
                match end.as_mut().poll(context) {
                    Poll::Ready(()) => {
                        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow)))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.settle(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(context, bytes);
        self.settle(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SHORT: Patience = Patience { stall: Duration::from_millis(200), rate: 10 };

    /// QUEUE-10: what comes at the least rate may take hours; what comes slower has a bounded time.
    #[test]
    fn bytes_pay_for_the_time_that_they_take() {
        let patience = Patience { stall: Duration::from_secs(30), rate: 100 };
        let mut steady = Account::new(patience);
        for _ in 0..1_000 {
            steady.waited(Duration::from_secs(10));
            steady.passed(1_000);
        }
        assert_eq!(steady.left(), patience.stall);
        let mut dripping = Account::new(patience);
        let mut drips = 0;
        while dripping.left() > Duration::ZERO {
            dripping.waited(Duration::from_secs(5));
            dripping.passed(1);
            drips += 1;
        }
        assert_eq!(drips, 7);
    }

    /// QUEUE-10: one byte now and then is no progress.
    #[tokio::test]
    async fn a_body_that_drips_is_given_up() {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(110)).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), ()))
        });
        let read = axum::body::to_bytes(body(Body::from_stream(drip), SHORT), 1 << 20).await;
        assert!(read.is_err());
        let quick = Body::from(vec![0; 100_000]);
        let read = axum::body::to_bytes(body(quick, SHORT), 1 << 20).await;
        assert_eq!(read.unwrap().len(), 100_000);
        let mut ended = body(Body::from("all"), SHORT).into_data_stream();
        assert_eq!(ended.next().await.unwrap().unwrap(), "all");
        assert!(ended.next().await.is_none() && ended.next().await.is_none(), "asked again");
    }

    /// QUEUE-10: an answer that is taken byte by byte is cut. A pause between two answers is nobody's debt.
    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_cut() {
        let (ours, mut theirs) = duplex(64);
        let mut socket = Patient::new(ours, SHORT);
        socket.write_all(&[0; 20]).await.unwrap();
        tokio::time::sleep(SHORT.stall * 2).await;
        socket.write_all(&[0; 20]).await.unwrap();
        let reading = tokio::spawn(async move {
            let (mut byte, mut taken) = ([0], 0);
            while theirs.read(&mut byte).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(110)).await;
                taken += 1;
            }
            taken
        });
        let error = socket.write_all(&[0; 20_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(socket);
        assert!(reading.await.unwrap() > 0);
    }
}
