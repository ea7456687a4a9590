require ["fileinto", "imap4flags", "variables"];
setflag "\\Seen";
addflag ["$work", "\\flagged"];
if header :contains "subject" "invoice" { removeflag "\\Flagged"; addflag "$bill"; }
if hasflag :contains "$b" { fileinto "bills"; }
elsif hasflag "\\flagged" { fileinto :flags "$only" "flagged"; }
setflag "mine" "a b";
addflag "mine" "c";
keep :flags "${mine}";
