//! Orders to the media workers and their reports, in a few words.

use crate::media::{MediaCommand, MediaEvent, MediaPlan};

/// `agreed PCMA with 192.0.2.1:4000`.
fn plan(plan: &MediaPlan) -> String {
    let codec = plan
        .payloads
        .first()
        .map_or("no codec", |payload| payload.codec.name());
    let to = match plan.remote_rtp {
        Some(remote) => remote.to_string(),
        None => "nowhere".to_owned(),
    };
    let hold = if plan.remote_hold { ", on hold" } else { "" };
    format!("agreed {codec} with {to}{hold}")
}

/// What a media worker was told; `None` for what only continues something that is shown.
pub fn order(command: &MediaCommand) -> Option<String> {
    Some(match command {
        MediaCommand::Open { local, .. } => format!("opened at {local}"),
        MediaCommand::Agree { plan: agreed, .. } => plan(agreed),
        MediaCommand::Join { .. } => "joined".to_owned(),
        MediaCommand::Part { .. } => "parted".to_owned(),
        MediaCommand::Play { files, repeat, .. } => format!(
            "plays {}{}",
            files.join(", "),
            if *repeat { " again and again" } else { "" }
        ),
        MediaCommand::Stop { .. } => "stops playing".to_owned(),
        MediaCommand::Echo { .. } => "echoes".to_owned(),
        MediaCommand::Mix { conference, .. } => format!("in conference {conference}"),
        MediaCommand::Close { .. } => "closes".to_owned(),
        #[allow(unreachable_patterns)] // orders to come show nothing until they have words
        _ => return None,
    })
}

/// What a media worker reported.
pub fn report(event: &MediaEvent) -> Option<String> {
    Some(match event {
        MediaEvent::Failed { reason, .. } => format!("failed: {reason}"),
        MediaEvent::Latched { remote, .. } => format!("first packet, from {remote}"),
        MediaEvent::Digit {
            digit, duration, ..
        } => format!("digit {digit}, {} ms", duration.as_millis()),
        MediaEvent::PlayEnded { .. } => "played to the end".to_owned(),
        MediaEvent::PlayFailed { reason, .. } => format!("cannot play: {reason}"),
        MediaEvent::OneWay {
            since,
            expected_from,
            stray_from,
            ..
        } => {
            let from = |address: &Option<std::net::SocketAddr>| {
                address.map_or("nobody".to_owned(), |address| address.to_string())
            };
            format!(
                "nothing heard for {} s; expected from {}, refused from {}",
                since.as_secs(),
                from(expected_from),
                from(stray_from)
            )
        }
        MediaEvent::Silent { silence, .. } => format!("silent for {} s", silence.as_secs()),
        MediaEvent::Closed { statistics, .. } => format!(
            "closed: {} packets in, {} out, {} lost",
            statistics.packets_received, statistics.packets_sent, statistics.lost
        ),
        #[allow(unreachable_patterns)] // as above
        _ => return None,
    })
}
