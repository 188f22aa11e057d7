use super::settings::is_stand_in;
use super::*;
use crate::platform::aws::proof::tests as made;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

const AUDIENCE: &str = "dbproxy/prod";
const HOST: &str = "sts.us-east-1.amazonaws.com";
const AGE: Duration = Duration::from_secs(120);

const ROLE: &str = r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012","Arn":"arn:aws:sts::123456789012:assumed-role/app/jane","UserId":"AROAEXAMPLE234567ABCD:jane"},"ResponseMetadata":{"RequestId":"r"}}}"#;

fn refusal(code: &str) -> String {
    format!(r#"{{"Error":{{"Code":"{code}","Message":"no","Type":"Sender"}},"RequestId":"r"}}"#)
}

/// A stand-in for STS that checks the signature of what it receives, then says what it was told to.
struct Sts {
    endpoint: String,
    asked: Arc<AtomicUsize>,
    says: Arc<Mutex<(u16, String)>>,
}

impl Sts {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let says = Arc::new(Mutex::new((200, ROLE.to_owned())));
        std::thread::spawn({
            let (asked, says) = (asked.clone(), says.clone());
            move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let head = head_of(&mut stream);
                    asked.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = match is_signed(&head) {
                        true => says.lock().unwrap().clone(),
                        false => (403, refusal("SignatureDoesNotMatch")),
                    };
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                }
            }
        });
        Self {
            endpoint,
            asked,
            says,
        }
    }

    fn say(&self, status: u16, body: &str) {
        *self.says.lock().unwrap() = (status, body.to_owned());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn verifier(&self, change: impl FnOnce(&mut Settings)) -> (AwsIam, Arc<Mutex<SystemTime>>) {
        let mut settings = settings();
        settings.endpoint = Some(self.endpoint.clone());
        change(&mut settings);
        let now = Arc::new(Mutex::new(made::signing_time()));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || *now.lock().unwrap()
        });
        (build(settings, clock).unwrap(), now)
    }
}

fn settings() -> Settings {
    Settings {
        audience: AUDIENCE.to_owned(),
        accounts: Vec::new(),
        regions: Vec::new(),
        endpoint: None,
        max_age: AGE,
    }
}

fn build(settings: Settings, clock: Clock) -> Result<AwsIam, SettingsError> {
    let background = Background::new(tokio::runtime::Handle::current());
    AwsIam::new(settings, Http::new(None).unwrap(), clock, background)
}

fn head_of(stream: &mut std::net::TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Over the host and the audience as they were received.
fn is_signed(head: &str) -> bool {
    let query = head.strip_prefix("GET /?").unwrap().split_once(' ').unwrap().0;
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    assert_eq!(header("accept"), Some("application/json"));
    assert_eq!(header("host"), Some(HOST));
    let headers = [
        ("host", header("host").unwrap()),
        (AUDIENCE_HEADER, header(AUDIENCE_HEADER).unwrap()),
        (NONCE_HEADER, header(NONCE_HEADER).unwrap()),
    ];
    let expected = made::signature(made::SECRET, query, &headers);
    query.ends_with(&format!("&X-Amz-Signature={expected}"))
}

fn proof() -> Vec<u8> {
    made::proof_for("us-east-1", AUDIENCE, Some(made::TOKEN))
}

#[tokio::test]
async fn a_good_proof_says_who_it_is() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|_| ());
    let found = verifier.verify(&proof()).await.unwrap();
    assert_eq!(
        found,
        Proof {
            kind: PrincipalKind::Role {
                arn: "arn:aws:iam::123456789012:role/app".to_owned(),
                session_name: "jane".to_owned(),
                permission_set: None,
            },
            account: "123456789012".to_owned(),
            unique_id: "AROAEXAMPLE234567ABCD".to_owned(),
        }
    );
}

#[tokio::test]
async fn a_proof_is_accepted_once() {
    let sts = Sts::start();
    let (verifier, now) = sts.verifier(|_| ());
    let proof = proof();
    verifier.verify(&proof).await.unwrap();
    for later in [0, 60, 120] {
        *now.lock().unwrap() = made::signing_time() + Duration::from_secs(later);
        let error = verifier.verify(&proof).await.unwrap_err();
        assert!(matches!(error, AwsIamError::Replayed), "{error}");
    }
    *now.lock().unwrap() = made::signing_time() + Duration::from_secs(121);
    let error = verifier.verify(&proof).await.unwrap_err();
    assert!(matches!(error, AwsIamError::Expired), "{error}");
    assert_eq!(sts.asked(), 1);
}

#[tokio::test]
async fn of_two_at_the_same_time_one_is_accepted() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|_| ());
    let proof = proof();
    let (one, two) = tokio::join!(verifier.verify(&proof), verifier.verify(&proof));
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
}

#[tokio::test]
async fn a_proof_for_another_broker_is_refused() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|settings| "dbproxy/test".clone_into(&mut settings.audience));
    let error = verifier.verify(&proof()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "AWS STS refuses the proof (SignatureDoesNotMatch)"
    );
}

#[tokio::test]
async fn what_is_out_of_the_question_is_not_asked() {
    let sts = Sts::start();
    let (verifier, now) = sts.verifier(|settings| settings.regions = vec!["eu-west-1".to_owned()]);
    let error = verifier.verify(&proof()).await.unwrap_err();
    assert!(matches!(error, AwsIamError::Region), "{error}");
    let error = verifier.verify(b"hunter2").await.unwrap_err();
    assert!(matches!(error, AwsIamError::Malformed(_)), "{error}");
    *now.lock().unwrap() = made::signing_time() - Duration::from_secs(61);
    let error = verifier.verify(&proof()).await.unwrap_err();
    assert!(matches!(error, AwsIamError::Future), "{error}");
    assert_eq!(sts.asked(), 0);
}

#[tokio::test]
async fn only_a_good_answer_counts_and_others_use_nothing_up() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|_| ());
    let proof = proof();
    let huge = "x".repeat(65 * 1024);
    let root = ROLE
        .replace(":sts:", ":iam:")
        .replace("assumed-role/app/jane", "root");
    for (status, body, said) in [
        (
            403,
            refusal("ExpiredToken"),
            "AWS STS refuses the proof (ExpiredToken)",
        ),
        (400, refusal("Throttling"), "AWS STS is asked too often"),
        (500, String::new(), "AWS STS cannot be asked about the proof"),
        (
            200,
            "garbage".to_owned(),
            "AWS STS answers what it should not: a malformed answer",
        ),
        (
            302,
            ROLE.to_owned(),
            "AWS STS answers what it should not: the status of its answer",
        ),
        (200, huge, "AWS STS cannot be asked about the proof"),
        (
            200,
            ROLE.replace("arn:aws:sts::123456789012", "arn:aws:sts::210987654321"),
            "AWS STS answers what it should not: the ARN is of another account",
        ),
        (
            200,
            root,
            "neither an IAM role nor an IAM user: root users are not accepted",
        ),
    ] {
        sts.say(status, &body);
        let error = verifier.verify(&proof).await.unwrap_err();
        assert_eq!(error.to_string(), said);
    }
    sts.say(200, ROLE);
    verifier.verify(&proof).await.unwrap();
}

/// Anybody has, or can open, an AWS account.
#[tokio::test]
async fn callers_of_other_accounts_are_not_proven() {
    let sts = Sts::start();
    let of = |accounts: &[&str]| {
        let accounts: Vec<_> = accounts.iter().map(|account| (*account).to_owned()).collect();
        sts.verifier(|settings| settings.accounts = accounts).0
    };
    let error = of(&["210987654321", "000000000000"])
        .verify(&proof())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, AwsIamError::Account(account) if account == "123456789012"),
        "{error}"
    );
    assert!(error.to_string().contains("123456789012 are not accepted"));
    for accounts in [&["210987654321", "123456789012"][..], &[]] {
        of(accounts).verify(&proof()).await.unwrap();
    }
}

/// Test stand-ins speak XML whatever they are asked for.
#[tokio::test]
async fn a_stand_in_may_answer_in_xml() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|_| ());
    sts.say(
        200,
        r#"<?xml version="1.0" encoding="UTF-8"?><GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/eng/jane</Arn><UserId>AIDAEXAMPLE234567ABCD</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#,
    );
    let found = verifier.verify(&proof()).await.unwrap();
    let arn = "arn:aws:iam::123456789012:user/eng/jane".to_owned();
    assert_eq!(found.kind, PrincipalKind::User { arn });
}

/// A client that goes away while STS is asked has used nothing up.
#[tokio::test]
async fn who_gives_up_may_try_again() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|_| ());
    let proof = proof();
    assert!(within(Duration::ZERO, verifier.verify(&proof)).await.is_none());
    verifier.verify(&proof).await.unwrap();
}

#[tokio::test]
async fn no_error_tells_of_the_proof() {
    let sts = Sts::start();
    let (verifier, _) = sts.verifier(|settings| settings.endpoint = Some("http://127.0.0.1:9".to_owned()));
    let error = verifier.verify(&proof()).await.unwrap_err();
    let text = format!("{error:?} {}", crate::error::Chain(&error));
    assert!(matches!(error, AwsIamError::Unavailable(_)), "{text}");
    for part in ["Signature", "SESSION", "X-Amz", made::KEY_ID, made::SECRET] {
        assert!(!text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn settings_are_checked() {
    type Change = fn(&mut Settings);
    let refused = |change: Change| {
        let mut settings = settings();
        change(&mut settings);
        build(settings, Clock::system()).unwrap_err()
    };
    assert_eq!(refused(|s| s.audience.clear()), SettingsError::Audience);
    assert_eq!(refused(|s| s.audience.push('\n')), SettingsError::Audience);
    assert_eq!(refused(|s| s.max_age = Duration::ZERO), SettingsError::MaxAge);
    assert_eq!(
        refused(|s| s.max_age = Duration::from_secs(901)),
        SettingsError::MaxAge
    );
    assert_eq!(
        refused(|s| s.regions.push("moon".to_owned())),
        SettingsError::Region("moon".to_owned())
    );
    for account in [
        "",
        "12345678901",
        "1234567890123",
        "12345678901x",
        " 23456789012",
        "١23456789012",
    ] {
        let mut settings = settings();
        settings.accounts = vec!["123456789012".to_owned(), account.to_owned()];
        let error = build(settings, Clock::system()).unwrap_err();
        assert_eq!(error, SettingsError::Account(account.to_owned()));
    }
    for endpoint in [
        "https://127.0.0.1:1",
        "http://10.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1:1/",
        "http://127.0.0.1:1@evil.com:80",
        "http://localhost.evil.com:1",
        "127.0.0.1:1",
        "",
    ] {
        let mut settings = settings();
        settings.endpoint = Some(endpoint.to_owned());
        let error = build(settings, Clock::system()).unwrap_err();
        assert_eq!(error, SettingsError::Endpoint(endpoint.to_owned()));
    }
    assert!(is_stand_in("http://[::1]:4566"));
}
