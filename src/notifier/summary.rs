//! `application/simple-message-summary` (RFC 3842 §5).

use super::facts::Messages;

/// The body: whether anything new waits, for which account, how much.
pub(super) fn write(account: &str, messages: Messages) -> String {
    let waiting = if messages.new > 0 { "yes" } else { "no" };
    // an account is a URI of ours: no line ends in it
    format!(
        "Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {}/{} (0/0)\r\n",
        messages.new, messages.old
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lamp_is_lit_by_new_messages_only() {
        let text = write("sip:1001@example.test", Messages { new: 2, old: 8 });
        assert_eq!(
            text,
            "Messages-Waiting: yes\r\nMessage-Account: sip:1001@example.test\r\nVoice-Message: 2/8 (0/0)\r\n"
        );
        let text = write("sip:1001@example.test", Messages { new: 0, old: 8 });
        assert!(text.starts_with("Messages-Waiting: no\r\n"));
    }
}
