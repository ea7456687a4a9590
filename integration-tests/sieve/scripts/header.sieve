require ["fileinto", "copy"];
if header :matches "subject" "[*] *" { fileinto "list"; }
elsif header :contains "subject" "invoice" { fileinto :copy "shop"; }
elsif header :is "subject" "Grüße aus München" { fileinto "umlaut"; }
elsif exists ["list-id", "precedence"] { discard; }
if header :is ["x-twice", "x-none"] "second" { fileinto "second"; }
