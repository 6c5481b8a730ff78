-- The bank's tables as they stood at getvariable('as_of'): later rows are not there, and cells that
-- were filled later are empty. Read from views raw_<table>; {out} is the folder to write.
create macro now_() as getvariable('as_of')::timestamp;
create macro known(event_time, available_at) as
  event_time::timestamp < now_() and (available_at is null or available_at::timestamp <= now_());
create macro later(moment) as moment is not null and moment::timestamp > now_();

copy (select * replace (if(later(valid_to), null, valid_to) as valid_to) from raw_customers
      where (valid_from is null or valid_from::timestamp <= now_())
        and (available_at is null or available_at::timestamp <= now_()))
  to '{out}/customers.parquet';
copy (from raw_interactions where known(event_time, available_at)) to '{out}/interactions.parquet';
copy (select * replace (if(later(closed_at), null, closed_at) as closed_at)
      from raw_holdings where known(event_time, available_at)) to '{out}/holdings.parquet';
copy (from raw_balances where known(event_time, available_at)) to '{out}/balances.parquet';
copy (from raw_accounts where known(event_time, available_at)) to '{out}/accounts.parquet';
copy (from raw_transactions where known(event_time, available_at)) to '{out}/transactions.parquet';
copy (select * replace (
        if(later(delivered_at), null, delivered_at) as delivered_at,
        if(later(responded_at), null, responded_at) as responded_at,
        if(later(refused_at), null, refusal_reason) as refusal_reason,
        if(later(refused_at), null, refused_at) as refused_at,
        if(later(opted_out_at), null, opted_out_at) as opted_out_at)
      from raw_contacts where known(event_time, available_at)) to '{out}/contacts.parquet';
copy (select * replace (if(later(resolved_at), null, resolved_at) as resolved_at)
      from raw_ratings where known(event_time, available_at)) to '{out}/ratings.parquet';
copy (from raw_consents where known(event_time, available_at)) to '{out}/consents.parquet';
copy (from raw_reachability where known(event_time, available_at)) to '{out}/reachability.parquet';
copy (from raw_risk_assessments where known(event_time, available_at))
  to '{out}/risk_assessments.parquet';
copy (from raw_credit_offers where known(event_time, available_at)) to '{out}/credit_offers.parquet';
copy (from raw_restrictions where known(event_time, available_at)) to '{out}/restrictions.parquet';
copy (from raw_benefits where known(event_time, available_at)) to '{out}/benefits.parquet';
copy (select * replace (if(later("to"), null, "to") as "to") from raw_assignments
      where "from"::timestamp < now_()
        and (available_at is null or available_at::timestamp <= now_()))
  to '{out}/assignments.parquet';
copy (from raw_demand where known(event_time, available_at)) to '{out}/demand.parquet';
copy (from raw_orgs) to '{out}/orgs.parquet';
copy (from raw_staff) to '{out}/staff.parquet';
copy (from raw_identities) to '{out}/identities.parquet';
