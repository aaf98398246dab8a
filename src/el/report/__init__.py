"""Results for people: tables, plots, the HTML report, and the HTML page of linked documents."""
