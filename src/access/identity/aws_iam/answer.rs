//! The answers of STS to `GetCallerIdentity`.

use super::error::{AwsIamError, Outage, RefusalCode};
use crate::platform::http::Answer;
use serde::Deserialize;

/// Largest answer that is read; real ones have some hundred bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What STS says of a caller.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CallerIdentity {
    pub(super) account: String,
    pub(super) arn: String,
    pub(super) user_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "GetCallerIdentityResponse")]
    response: Response,
}

/// Unknown fields are refused but in the result itself, to which AWS may add some day.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    #[serde(rename = "GetCallerIdentityResult")]
    result: CallerIdentity,
    #[serde(rename = "ResponseMetadata")]
    _metadata: Option<serde::de::IgnoredAny>,
}

/// Only a 200 speaks for a caller. XML is read from a test's stand-in alone: AWS was asked for JSON.
pub(super) fn read(answer: &Answer, may_be_xml: bool) -> Result<CallerIdentity, AwsIamError> {
    match answer.status {
        200 => {}
        429 => return Err(AwsIamError::Throttled),
        status => return Err(failure(status, &answer.body)),
    }
    let malformed = AwsIamError::Unexpected("a malformed answer");
    if may_be_xml && answer.body.starts_with(b"<") {
        let text = std::str::from_utf8(&answer.body).ok();
        return text.and_then(of_xml).ok_or(malformed);
    }
    // The error would quote the answer.
    let envelope: Envelope = serde_json::from_slice(&answer.body).map_err(|_| malformed)?;
    Ok(envelope.response.result)
}

fn failure(status: u16, body: &[u8]) -> AwsIamError {
    // AWS STS API Reference and AWS SDK retry behaviour: codes that mean "not so fast".
    const THROTTLING: [&str; 6] = [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "SlowDown",
    ];
    let code = error_code(body);
    match status {
        400..=599 if code.as_str().is_some_and(|code| THROTTLING.contains(&code)) => AwsIamError::Throttled,
        400 | 401 | 403 => AwsIamError::Refused(code),
        500..=599 => AwsIamError::Unavailable(Outage::Status(status)),
        _ => AwsIamError::Unexpected("the status of its answer"),
    }
}

/// The code in an error's JSON or XML; only tells refusals apart, so it is read leniently.
fn error_code(body: &[u8]) -> RefusalCode {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refusal {
        error: Code,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Code {
        code: String,
    }
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(body) {
        return RefusalCode::new(&refusal.error.code);
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| RefusalCode::new(code)).unwrap_or_default()
}

/// The answer in XML, in the one shape that STS gives it.
fn of_xml(text: &str) -> Option<CallerIdentity> {
    let text = text.trim();
    let text = match text.strip_prefix("<?xml ") {
        Some(rest) => rest.split_once("?>")?.1.trim_start(),
        None => text,
    };
    let (_namespace, text) = text
        .strip_prefix("<GetCallerIdentityResponse ")?
        .split_once('>')?;
    let text = text.strip_suffix("</GetCallerIdentityResponse>")?.trim_start();
    let text = text.strip_prefix("<GetCallerIdentityResult>")?;
    let (mut text, _metadata) = text.split_once("</GetCallerIdentityResult>")?;
    let (mut account, mut arn, mut user_id) = (None, None, None);
    loop {
        text = text.trim_start();
        if text.is_empty() {
            break;
        }
        let (name, rest) = text.strip_prefix('<')?.split_once('>')?;
        let (value, rest) = rest.split_once("</")?;
        let (end, rest) = rest.split_once('>')?;
        let slot = match name {
            "Account" => &mut account,
            "Arn" => &mut arn,
            "UserId" => &mut user_id,
            _ => return None,
        };
        if end != name || value.contains(['<', '&']) || slot.replace(value.to_owned()).is_some() {
            return None;
        }
        text = rest;
    }
    Some(CallerIdentity {
        account: account?,
        arn: arn?,
        user_id: user_id?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec().into(),
            max_age: None,
        }
    }

    fn identity() -> CallerIdentity {
        CallerIdentity {
            account: "1".to_owned(),
            arn: "a".to_owned(),
            user_id: "u".to_owned(),
        }
    }

    const GOOD: &str = r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"1","Arn":"a","UserId":"u"},"ResponseMetadata":{"RequestId":"r"}}}"#;
    const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>a</Arn><UserId>u</UserId><Account>1</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>";

    #[test]
    fn json_is_read_strictly() {
        assert_eq!(read(&answer(200, GOOD), false).unwrap(), identity());
        let more = GOOD.replace(r#""Account""#, r#""New":{"x":1},"Account""#);
        assert_eq!(read(&answer(200, &more), false).unwrap(), identity());
        for (from, to) in [
            (r#""Account":"1","#, ""),
            (r#""Account":"1""#, r#""Account":1"#),
            (r#""Account":"1""#, r#""Account":null"#),
            (r#""Account":"1""#, r#""Account":"1","Account":"2""#),
            (r#""ResponseMetadata""#, r#""Other""#),
            (
                r#"{"GetCallerIdentityResponse""#,
                r#"{"x":1,"GetCallerIdentityResponse""#,
            ),
            ("GetCallerIdentityResult", "AssumeRoleResult"),
            ("}}}", "}}} x"),
            ("}}}", "}}"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let body = GOOD.replacen(from, to, 1);
            let error = read(&answer(200, &body), true).unwrap_err();
            assert!(matches!(error, AwsIamError::Unexpected(_)), "{body}");
        }
        for body in ["", "null", "[]", "<html></html>", "\u{feff}{}"] {
            assert!(read(&answer(200, body), true).is_err(), "{body}");
        }
    }

    #[test]
    fn xml_is_read_from_a_stand_in_only() {
        assert_eq!(read(&answer(200, XML), true).unwrap(), identity());
        assert!(read(&answer(200, XML), false).is_err());
        let spaced = XML.replace("><", ">\n  <");
        assert_eq!(read(&answer(200, &spaced), true).unwrap(), identity());
        for (from, to) in [
            ("<Account>1</Account>", ""),
            ("<Account>1</Account>", "<Account>1</Account><Account>1</Account>"),
            ("<Account>1</Account>", "<Account>1</Arn>"),
            ("<Account>1</Account>", "<Account>&#49;</Account>"),
            ("<Account>1</Account>", "<Account><b>1</b></Account>"),
            ("<Account>1</Account>", "<Account/>"),
            ("<Account>1</Account>", "<!-- x --><Account>1</Account>"),
            ("<Account>1</Account>", "<Account>1</Account>x"),
            ("<GetCallerIdentityResult>", "<AssumeRoleResult>"),
            ("</GetCallerIdentityResponse>", ""),
        ] {
            assert!(XML.contains(from), "{from}");
            let body = XML.replacen(from, to, 1);
            assert!(read(&answer(200, &body), true).is_err(), "{body}");
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let json = |code: &str| {
            format!(r#"{{"Error":{{"Code":"{code}","Message":"m","Type":"Sender"}},"RequestId":"r"}}"#)
        };
        let told = |status: u16, body: &str| read(&answer(status, body), true).unwrap_err().to_string();
        let refused = "AWS STS refuses the proof";
        assert_eq!(
            told(403, &json("ExpiredToken")),
            format!("{refused} (ExpiredToken)")
        );
        assert_eq!(
            told(403, "<E><Error><Code>InvalidClientTokenId</Code></Error></E>"),
            format!("{refused} (InvalidClientTokenId)")
        );
        assert_eq!(told(403, "<html>"), refused);
        assert_eq!(told(400, &json("a b")), refused);
        assert_eq!(told(403, &json(&"a".repeat(65))), refused);
        for (status, body) in [
            (429, String::new()),
            (400, json("Throttling")),
            (503, json("SlowDown")),
        ] {
            assert_eq!(told(status, &body), "AWS STS is asked too often");
        }
        for status in [500, 503] {
            assert_eq!(told(status, ""), "AWS STS cannot be asked about the proof");
        }
        for status in [201, 204, 302, 404] {
            assert_eq!(
                told(status, GOOD),
                "AWS STS answers what it should not: the status of its answer"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(
            status in 100u16..600,
            body in ".{0,200}|<GetCallerIdentityResponse x><GetCallerIdentityResult>.{0,60}</GetCallerIdentityResult></GetCallerIdentityResponse>",
        ) {
            let _ = read(&answer(status, &body), true);
        }
    }
}
