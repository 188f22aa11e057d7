//! Runs that meet failures.

use super::{Caller, IamApplyError, apply};
use crate::platform::aws::iam::Call;
use crate::platform::aws::{AwsError, AwsFault};
use crate::provision::iam::step::{IamPlan, IamStep};
use crate::provision::manifest::arn::AccountId;
use crate::provision::step::StepKind;
use std::sync::Mutex;

/// Answers with these failures, in their order, and then well.
struct Moody {
    failures: Mutex<Vec<AwsFault>>,
    made: Mutex<Vec<Call>>,
}

impl Moody {
    fn new(failures: &[AwsFault]) -> Self {
        Self {
            failures: Mutex::new(failures.iter().rev().copied().collect()),
            made: Mutex::default(),
        }
    }
}

impl Caller for Moody {
    async fn call(&self, call: &Call) -> Result<(), AwsError> {
        let failure = is_second(call).then(|| self.failures.lock().unwrap().pop());
        if let Some(fault) = failure.flatten() {
            let (action, message) = (call.action().to_owned(), "no".to_owned());
            return Err(AwsError {
                fault,
                action,
                message,
            });
        }
        self.made.lock().unwrap().push(call.clone());
        Ok(())
    }
}

fn is_second(call: &Call) -> bool {
    matches!(call, Call::Attach { .. } | Call::TagRole { .. })
}

fn plan(kind: StepKind, calls: Vec<Call>) -> IamPlan {
    let step = |call: Call| IamStep {
        title: call.action().to_owned(),
        kind,
        calls: vec![call],
        holders: [].into(),
    };
    IamPlan {
        account: AccountId::new("111122223333").unwrap(),
        steps: calls.into_iter().map(step).collect(),
        notes: Vec::new(),
    }
}

fn create() -> Call {
    let (role, trust) = ("x".to_owned(), "{}".to_owned());
    Call::CreateRole {
        role,
        trust,
        max_session_seconds: 3_600,
        tags: Vec::new(),
    }
}

fn delete() -> Call {
    Call::DeletePolicy { arn: "a".to_owned() }
}

fn tag() -> Call {
    let text = |text: &str| text.to_owned();
    Call::TagRole {
        role: text("x"),
        key: text("k"),
        value: text("v"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_just_made_is_waited_for() {
    let caller = Moody::new(&[AwsFault::NotFound, AwsFault::NotFound]);
    apply(
        &caller,
        &plan(StepKind::Ordinary, vec![create(), tag()]),
        false,
        |_, _| {},
    )
    .await
    .unwrap();
    assert_eq!(caller.made.lock().unwrap().len(), 2);
    // Not for ever, and not what was there before.
    let caller = Moody::new(&[AwsFault::NotFound; 20]);
    apply(
        &caller,
        &plan(StepKind::Ordinary, vec![create(), tag()]),
        false,
        |_, _| {},
    )
    .await
    .unwrap_err();
    assert_eq!(caller.failures.lock().unwrap().len(), 15);
    let caller = Moody::new(&[AwsFault::NotFound]);
    let error = apply(&caller, &plan(StepKind::Ordinary, vec![tag()]), false, |_, _| {})
        .await
        .unwrap_err();
    assert!(error.has_changed_nothing(), "{error}");
}

#[tokio::test]
async fn how_far_a_run_came_is_told() {
    let steps = plan(StepKind::Ordinary, vec![delete(), tag(), delete()]);
    let caller = Moody::new(&[AwsFault::Denied]);
    let error = apply(&caller, &steps, false, |_, _| {}).await.unwrap_err();
    assert!(!error.has_changed_nothing());
    let IamApplyError::Call {
        number: 2,
        of: 3,
        calls: 1,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(error.remedy().unwrap().contains("--writes-iam"));
    // Without an answer it may have been done.
    let caller = Moody::new(&[AwsFault::Unreachable]);
    let error = apply(&caller, &plan(StepKind::Ordinary, vec![tag()]), false, |_, _| {})
        .await
        .unwrap_err();
    assert!(!error.has_changed_nothing());
}

#[tokio::test]
async fn what_takes_something_away_must_be_allowed() {
    let steps = plan(StepKind::Destructive, vec![delete()]);
    let caller = Moody::new(&[]);
    let error = apply(&caller, &steps, false, |_, _| {}).await.unwrap_err();
    assert!(error.has_changed_nothing() && error.to_string().contains("--allow-destructive"));
    assert_eq!(caller.made.lock().unwrap().len(), 0);
    apply(&caller, &steps, true, |_, _| {}).await.unwrap();
    assert_eq!(caller.made.lock().unwrap().len(), 1);
}
