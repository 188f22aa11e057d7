# Written by dbproxy iam-policy.

resource "aws_iam_role_policy" "policy_1_of_role_dbproxy" {
  name = "dbproxy-connect-1"
  role = "dbproxy"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app_ro",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app_rw",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/orders_owner",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/pgmonitor",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/reporting",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/blue_app",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/blue_migrations",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/green_app",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/green_migrations"
        ]
      }
    ]
  })
}

resource "aws_iam_role" "role_dbproxy-monitoring" {
  name                 = "dbproxy-monitoring"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Principal" : {
          "AWS" : [
            "arn:aws:iam::444455556666:role/monitoring"
          ]
        },
        "Action" : "sts:AssumeRole",
        "Condition" : {
          "StringEquals" : {
            "sts:ExternalId" : "example-7f0c1d52-replace-me"
          }
        }
      },
      {
        "Effect" : "Allow",
        "Principal" : {
          "AWS" : [
            "arn:aws:iam::444455556666:role/monitoring"
          ]
        },
        "Action" : [
          "sts:SetSourceIdentity",
          "sts:TagSession"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_dbproxy-monitoring" {
  name = "dbproxy-connect-1"
  role = aws_iam_role.role_dbproxy-monitoring.name
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/pgmonitor"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_orders-app" {
  name = "dbproxy-connect-1"
  role = "orders-app"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app_ro",
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app_rw"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_orders-migrations" {
  name = "dbproxy-connect-1"
  role = "orders-migrations"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/orders_owner"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_reporting" {
  name = "dbproxy-connect-1"
  role = "reporting"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/reporting"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_blue-app" {
  name = "dbproxy-connect-1"
  role = "blue-app"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/blue_app"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_blue-migrations" {
  name = "dbproxy-connect-1"
  role = "blue-migrations"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/blue_migrations"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_green-app" {
  name = "dbproxy-connect-1"
  role = "green-app"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/green_app"
        ]
      }
    ]
  })
}

resource "aws_iam_role_policy" "policy_1_of_role_green-migrations" {
  name = "dbproxy-connect-1"
  role = "green-migrations"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Action" : "rds-db:connect",
        "Resource" : [
          "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ZYXWVUTSRQPONMLKJIHGFEDCBA/green_migrations"
        ]
      }
    ]
  })
}
