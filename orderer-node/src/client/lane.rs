//! One Broadcast stream of the load: takes envelopes as they fall due, keeps many in flight, and sends again what was
//! neither taken nor refused for good. Sending the same envelope twice is harmless: it is ordered once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use fabric_proto::common::Status;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use super::broadcast::{Answer, BroadcastClient};
use super::connection::{ClientError, Endpoint};
use super::latency::EnvelopeKey;
use super::limits::{RECONNECT_PAUSE, STREAM_OUTSTANDING_MAX};
use super::open_loop::Shared;

/// An envelope that is due.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) key: EnvelopeKey,
    pub(super) envelope: Bytes,
}

pub(super) struct Lane {
    endpoints: Arc<[Endpoint]>,
    /// The endpoint that is tried first.
    home: usize,
    jobs: mpsc::Receiver<Job>,
    /// To be sent again, before anything new.
    again: VecDeque<Job>,
    shared: Arc<Shared>,
}

/// What remains to be done when a stream has ended.
enum Remaining {
    Nothing,
    Something,
}

impl Lane {
    pub(super) fn new(endpoints: Arc<[Endpoint]>, home: usize, jobs: mpsc::Receiver<Job>, shared: Arc<Shared>) -> Self {
        Self { endpoints, home, jobs, again: VecDeque::new(), shared }
    }

    /// Runs until no envelope falls due any more and all have come to an end.
    pub(super) async fn run(mut self) {
        loop {
            let client = self.connect().await;
            match self.drive(&client).await {
                Remaining::Nothing => return,
                Remaining::Something => tokio::time::sleep(RECONNECT_PAUSE).await,
            }
        }
    }

    /// Tries the endpoints in turn until one answers.
    async fn connect(&self) -> BroadcastClient {
        let mut turn = self.home;
        loop {
            let endpoint = &self.endpoints[turn % self.endpoints.len()];
            match endpoint.connect().await {
                Ok(connection) => return BroadcastClient::open(&connection),
                Err(error) => self.shared.on_trouble(&error),
            }
            turn += 1;
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn drive(&mut self, client: &BroadcastClient) -> Remaining {
        let mut answers = FuturesUnordered::new();
        let (mut is_open, mut is_over) = (true, false);
        loop {
            let has_room = is_open && !is_over && answers.len() < STREAM_OUTSTANDING_MAX;
            tokio::select! {
                Some((job, answer)) = answers.next() => is_open &= self.on_answer(job, answer),
                job = next(&mut self.again, &mut self.jobs), if has_room => {
                    let Some(job) = job else {
                        is_over = true;
                        continue;
                    };
                    match client.submit(job.envelope.clone()).await {
                        Ok(pending) => answers.push(async move { (job, pending.answer().await) }),
                        Err(error) => {
                            self.on_answer(job, Err(error));
                            is_open = false;
                        }
                    }
                }
                else => break,
            }
        }
        if is_over && self.again.is_empty() { Remaining::Nothing } else { Remaining::Something }
    }

    /// Takes note of an answer; says whether the stream is still good.
    fn on_answer(&mut self, job: Job, answer: Result<Answer, ClientError>) -> bool {
        match answer {
            Ok(Answer { status: Status::Success, .. }) => {
                self.shared.acknowledged.fetch_add(1, Relaxed);
                self.shared.recorder.on_acknowledged(job.key);
                true
            }
            Ok(Answer { status: Status::ServiceUnavailable, info }) => {
                self.shared.on_trouble(&format_args!("SERVICE_UNAVAILABLE: {info}"));
                self.send_again(job)
            }
            Ok(Answer { status, info }) => {
                self.shared.on_trouble(&format_args!("{}: {info}", status.as_str_name()));
                self.shared.refused.fetch_add(1, Relaxed);
                self.shared.recorder.on_refused(job.key);
                false
            }
            Err(error) => {
                self.shared.on_trouble(&error);
                self.send_again(job)
            }
        }
    }

    fn send_again(&mut self, job: Job) -> bool {
        self.shared.resent.fetch_add(1, Relaxed);
        self.again.push_back(job);
        false
    }
}

async fn next(again: &mut VecDeque<Job>, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match again.pop_front() {
        Some(job) => Some(job),
        None => jobs.recv().await,
    }
}
