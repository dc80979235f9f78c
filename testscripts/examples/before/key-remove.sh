dist key import --label vendor vendor.pub
