echo 'SELECT name FROM images' >report.sql
