dist key import --label vendor vendor.pub
dist trust add vendor --scope quay.io/vendor
dist trust add courier --bundle site-b
