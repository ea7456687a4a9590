require ["fileinto", "copy", "reject", "vacation"];
if header :contains "subject" "invoice" { reject "no more of these"; stop; }
if header :contains "subject" "dinner" { redirect "a@example.net"; redirect :copy "b@example.net"; stop; }
if header :contains "subject" "report" { discard; }
vacation :days 5 "I am away";
if header :contains "subject" "aus" { keep; fileinto "INBOX"; fileinto "x"; fileinto "x"; }
